"""The judge: what it asks of an implementation, what it compares with, and what it says."""
