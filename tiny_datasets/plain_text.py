"""Names and texts from file systems, files and libraries: what can be printed, and what can be a name everywhere."""

from __future__ import annotations

import codecs
import re
import unicodedata

# Control characters, halves of surrogate pairs (Python's form of bytes that are no UTF-8), line and paragraph ends.
_NOT_PLAIN = frozenset({"Cc", "Cs", "Zl", "Zp"})


_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(\..*)?", re.IGNORECASE)


def is_device(name: str) -> bool:
    """Return whether Windows keeps a name for a device, in any case and with any suffix: ``con``, ``NUL.txt``."""
    return _DEVICE.fullmatch(name) is not None


def is_plain(text: str) -> bool:
    """Return whether a text fits on one line and in UTF-8."""
    return all(unicodedata.category(character) not in _NOT_PLAIN for character in text)


def plain(text: str) -> str:
    r"""Return a text with every other character as a backslash escape, such as ``\udcff``."""
    return "".join(
        character if is_plain(character) else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )


_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before that of UTF-16, which is its beginning
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)


def decoded(content: bytes) -> str:
    r"""Return a text in UTF-8, or in UTF-16 or UTF-32 with a byte-order mark; its line ends become ``\n``.

    Raises:
        UnicodeDecodeError: If it is in another encoding.
    """
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    return content.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def cut(text: object, most: int = 120) -> str:
    """Return a text of someone else, such as a library's error, on one line and not too long for a sentence."""
    line = plain(" ".join(str(text).split()))
    return line if len(line) <= most else line[: most - 1] + "…"


def reason(error: Exception) -> str:
    """Return a library's error for the end of a sentence: its message, or its class if it has none."""
    return cut(error) or type(error).__name__
