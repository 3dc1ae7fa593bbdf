"""A folder that holds one folder of examples for each class."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tiny_datasets.errors import DatasetError
from tiny_datasets.plain_text import is_plain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class ClassFolders(NamedTuple):
    """What was found in such a folder."""

    members: dict[str, list[Path]]
    """Each class's examples by its name; classes and examples sorted."""
    left_out: int
    """How many entries are neither a class's folder nor an example."""


def find_members(root: Path, is_member: Callable[[Path], bool], what: str) -> ClassFolders:
    """Return the examples of each class. Hidden files and folders are left out.

    Args:
        root: The folder.
        is_member: Tells an example from any other entry of a class's folder.
        what: Examples in the plural, and maybe in brackets what they end in, for the errors: ``"pictures (.png)"``.

    Raises:
        DatasetError: If it is no folder, cannot be read, has no classes, a class's name cannot be printed, or a class
            has no examples.
    """
    kind = what.partition(" (")[0]
    if not root.is_dir():
        got = "a file" if root.exists() else "nothing there"
        raise DatasetError(f"{root} must be a folder with one sub-folder of {kind} for each class, got {got}")
    try:
        top = sorted_entries(root)
        folders = [entry for entry in top if entry.is_dir() and not entry.name.startswith(".")]
        entries = {folder.name: sorted_entries(folder) for folder in folders}
    except OSError as error:
        raise DatasetError(f"{root} and its sub-folders must be readable, got {error.strerror}") from error
    if not folders:
        raise DatasetError(f"{root} must hold one sub-folder of {kind} for each class, got no sub-folders")
    for name in entries:
        if not is_plain(name):
            raise DatasetError(f"{root} must hold sub-folders with names in UTF-8 on one line, got {name!r}")
    members = {
        name: [entry for entry in found if not entry.name.startswith(".") and is_member(entry)]
        for name, found in entries.items()
    }
    for name, found in members.items():
        if not found:
            raise DatasetError(f"{root / name} must hold {what}, got none")
    total = len(top) - len(folders) + sum(map(len, entries.values()))
    return ClassFolders(members, total - sum(map(len, members.values())))


def sorted_entries(folder: Path) -> list[Path]:
    """Return a folder's entries by name; paths themselves sort differently from one system to the next."""
    return sorted(folder.iterdir(), key=lambda entry: entry.name)
