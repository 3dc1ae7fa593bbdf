"""The shipped dataset `photos`; see SOURCE.md beside this file."""
