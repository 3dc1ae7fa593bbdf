"""The error of this package."""

from __future__ import annotations


class DatasetError(ValueError):
    """A dataset, or a request for one, is wrong. The message is one sentence: what, where, expected and got."""
