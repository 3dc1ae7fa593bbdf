"""A user's text files, as editors of all systems write them."""

from pathlib import Path


def read_text(path: Path) -> str:
    r"""Return a text file with line ends as ``\n``; see `text_of`.

    Raises:
        OSError: it cannot be read.
        ValueError: it is neither UTF-8 nor marked as UTF-16 or UTF-32.
    """
    return text_of(path.read_bytes())


def text_of(content: bytes) -> str:
    r"""Return a text in UTF-8, or in UTF-16 or UTF-32 with a byte-order mark; its line ends become ``\n``.

    Raises:
        ValueError: it is in another encoding.
    """
    from tiny_datasets.plain_text import decoded  # noqa: PLC0415  data sets load late

    return decoded(content)
