"""The paper on pages: each file is the whole algorithm of one family, and imports nothing of the package."""
