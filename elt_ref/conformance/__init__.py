"""The judge of implementations: its questions, the right answers, and its reports."""
