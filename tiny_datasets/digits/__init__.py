"""The shipped dataset `digits`; see SOURCE.md beside this file."""
