"""The error of this package."""

from __future__ import annotations

from tiny_datasets.plain_text import cut

LONGEST, KEPT = 300, 110
"""The greatest length of a sentence, and how much of its end stays if its middle is cut."""


class DatasetError(ValueError):
    """A dataset, or a request for one, is wrong. The message is one sentence: what, where, expected and got."""

    def __init__(self, message: str) -> None:
        line = cut(message, len(message) * 10)
        super().__init__(line if len(line) <= LONGEST else f"{line[: LONGEST - KEPT - 3]} … {line[-KEPT:]}")
