"""What stands at a path, also where looking is forbidden; `pathlib` raises there."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def is_file(path: Path) -> bool:
    """Return whether a path is a regular file that can be looked at."""
    return _mode_is(path, stat.S_ISREG)


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder that can be looked at."""
    return _mode_is(path, stat.S_ISDIR)


def found(path: Path, missing: str = "no such file") -> str:
    """Return in words what stands at a path, for an error: "a folder", "no such file", "Permission denied"."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  one look, whatever it finds
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return missing
    except OSError as error:
        return error.strerror or str(error)
    return "a folder" if stat.S_ISDIR(mode) else "a file" if stat.S_ISREG(mode) else "neither a file nor a folder"


def _mode_is(path: Path, kind: Callable[[int], bool]) -> bool:
    try:
        return kind(os.stat(path).st_mode)  # noqa: PTH116
    except (OSError, ValueError):
        return False


def is_left_out(name: str) -> bool:
    """Return whether an entry of a folder is hidden, or what macOS adds to an archive: ``._x``, ``__MACOSX``."""
    return name.startswith(".") or name == "__MACOSX"
