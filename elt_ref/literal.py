"""A text of a user as it is: nothing in it is interpreted, and every character of it can be seen."""

import re
import unicodedata

LONGEST = 300
"""Largest number of characters in a sentence about an error."""
KEPT_END = 110
"""Characters of its end that a sentence keeps if it is cut."""

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories of characters that change the line or the terminal instead of showing something."""
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~&#$])")
"""What Markdown reads, and the dollar, with which MyST and code hosts begin a formula."""
_EMOJI = re.compile(r":(?=[\w+-]+:)")
"""The first colon of what may be an emoji's name."""


def visible(text: str) -> str:
    r"""Return a text on one line with every character to be seen: ``\n``, ``\x1b``, ``\u202e`` for those that cannot.

    Line ends, the escape sequences of terminals, marks that reverse the direction of writing, and bytes of a file's
    name that are not UTF-8 become the escapes of Python. A backslash stays as it is.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(each) if unicodedata.category(each) in _HIDDEN else each for each in text)


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # how Python carries a byte that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def sentence(text: str) -> str:
    """Return a text as one visible line of at most `LONGEST` characters; the middle of a longer one is left out."""
    line = visible(" ".join(re.split(r"[ \t]*[\r\n]\s*", text.strip())))
    if len(line) <= LONGEST:
        return line
    return f"{line[: LONGEST - KEPT_END - 3]} … {line[-KEPT_END:]}"


def in_markdown(text: str) -> str:
    """Return a text that Markdown shows as it is, also inside a table.

    Code hosts look for names of emoji in the finished page, where no backslash is left: a space without width does.
    """
    return _EMOJI.sub(":&#8203;", _MARKDOWN.sub(r"\\\1", visible(text)))


def plain_ascii(text: str) -> str:
    """Return a text in ASCII that can still be read: λ is ``lambda``, ⁹ is 9, × is x; the rest are Python's escapes."""
    return "".join(each if each.isascii() else _ascii(each) for each in text)


_ASCII = {
    "×": "x",
    "·": "*",
    "÷": "/",
    "⁄": "/",
    "‖": "||",
    "⌊": "floor(",
    "⌋": ")",
    "⌈": "ceil(",
    "⌉": ")",
    "−": "-",
    "–": "-",
    "—": "-",
    "•": "*",
    "√": "sqrt ",
    "∈": "in ",
    "∞": "inf",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "≈": "~",
    "→": "->",
    "←": "<-",
    "∂": "d",
    "∇": "grad ",
    "Σ": "sum ",
    "∑": "sum ",
    "∏": "prod ",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
    "ß": "ss",
}


def _ascii(character: str) -> str:
    if character in _ASCII:
        return _ASCII[character]
    name = unicodedata.name(character, "")
    if name.startswith("GREEK "):
        word = name.rpartition("LETTER ")[2].split(" ")[0].replace("LAMDA", "LAMBDA")
        return word.capitalize() if "CAPITAL" in name else word.lower()
    if name.startswith("BOX DRAWINGS "):
        return "-" if "HORIZONTAL" in name and "VERTICAL" not in name else "|"
    # A letter without its accent, a digit without its height; an accent by itself says nothing.
    parts = "".join(each for each in unicodedata.normalize("NFKD", character) if not unicodedata.combining(each))
    if parts.isascii() and (parts or unicodedata.combining(character)):
        return parts
    if parts != character:
        return plain_ascii(parts)
    return _escape(character)
