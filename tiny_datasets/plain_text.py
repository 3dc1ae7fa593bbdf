"""Names from file systems and files: they must print on one line and encode as UTF-8."""

from __future__ import annotations

import unicodedata

# Control characters, halves of surrogate pairs (Python's form of bytes that are no UTF-8), line and paragraph ends.
_NOT_PLAIN = frozenset({"Cc", "Cs", "Zl", "Zp"})


def is_plain(text: str) -> bool:
    """Return whether a text fits on one line and in UTF-8."""
    return all(unicodedata.category(character) not in _NOT_PLAIN for character in text)


def plain(text: str) -> str:
    r"""Return a text with every other character as a backslash escape, such as ``\udcff``."""
    return "".join(
        character if is_plain(character) else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )


def cut(text: object, most: int = 120) -> str:
    """Return a text of someone else, such as a library's error, on one line and not too long for a sentence."""
    line = plain(" ".join(str(text).split()))
    return line if len(line) <= most else line[: most - 1] + "…"
