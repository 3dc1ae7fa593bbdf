"""Exercises: functions of the pages that a student writes and the judge grades."""
