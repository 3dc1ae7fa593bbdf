"""Files that are whole or not there: written to a temporary name, flushed to the disk, renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from elt_ref.errors import RequestError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; on success it becomes `path`, on failure it is removed.

    Raises:
        RequestError: the folder cannot be written to.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        flush_folder(path.parent)
    except OSError as error:
        raise RequestError(f"{path}: expected a place that can be written to, got {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Flush a folder's entries, so that a rename in it survives a loss of power (a no-op where folders have none)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file, or leave what was there."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
