"""A folder that holds one folder of examples for each class."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tiny_datasets.entries import found, is_folder, is_left_out
from tiny_datasets.errors import DatasetError
from tiny_datasets.plain_text import is_plain
from tiny_datasets.split import divide, held_out_counts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tiny_datasets.dataset import Split


_PART = re.compile(
    r"(train(ing)?|test(ing)?|val|valid(ation)?|dev|eval(uation)?|holdout)"
    r"([ _.-]*(set|data|dataset|images?|imgs?|pictures?|clips?|videos?|frames?|examples?|samples?|split))?"
    r"[ _.-]*[0-9]*",
    re.IGNORECASE,
)
"""Names of the parts of a data set that is divided already: ``train``, ``Test_set``, ``val2017``."""


class FolderContents(NamedTuple):
    """The content of such a folder."""

    train: Split
    test: Split
    classes: tuple[str, ...]
    """Names of the classes' folders, sorted."""
    left_out: int
    """Number of entries that are neither a class's folder nor an example."""


def read_class_folders(
    root: Path, is_member: Callable[[Path], bool], what: str, read: Callable[[Path], NDArray[Any]], test_fraction: float
) -> FolderContents:
    """Return the examples of each class, divided into training and test. Hidden files and folders are left out.

    Args:
        root: The folder.
        is_member: Returns whether an entry of a class's folder is an example.
        what: The kind of examples in the plural, for the errors: ``"pictures (.png)"``.
        read: Returns an example; all examples have one shape.
        test_fraction: Strictly between 0 and 1.

    Raises:
        DatasetError: If `root` is no folder, cannot be read, has no classes or has parts of a divided set for classes,
            a class's name cannot be printed, a class has no examples, or none has two. Errors of `read` pass through.
    """
    members, left_out = _find_members(root, is_member, what)
    labels = np.repeat(np.arange(len(members), dtype=np.int64), [len(entries) for entries in members.values()])
    held_out = held_out_counts(labels, len(members), test_fraction, root)
    examples = np.stack([read(entry) for entries in members.values() for entry in entries])
    train, test = divide(examples, labels, held_out)
    return FolderContents(train, test, tuple(members), left_out)


def _find_members(root: Path, is_member: Callable[[Path], bool], what: str) -> tuple[dict[str, list[Path]], int]:
    """Return the examples by class, both sorted, and the number of other entries."""
    kind = what.partition(" (")[0]
    if not is_folder(root):
        got = found(root, "nothing there")
        raise DatasetError(f"{root} must be a folder with one sub-folder of {kind} for each class, got {got}")
    try:
        top = sorted_entries(root)
        folders = [entry for entry in top if _is_shown_folder(entry)]
        entries = {folder.name: sorted_entries(folder) for folder in folders}
    except OSError as error:
        raise DatasetError(f"{error.filename or root} must be readable, got {error.strerror}") from error
    if not folders:
        raise DatasetError(f"{root} must hold one sub-folder of {kind} for each class, got no sub-folders")
    # A class called "test" holds examples; a part holds folders, or stands beside other parts, or alone.
    alone = len(entries) == 1
    holders = [name for name, listed in entries.items() if alone or any(map(_is_shown_folder, listed))]
    _refuse_parts(root, _parts(entries, holders), f"one sub-folder of {kind} for each class")
    for name, listed in entries.items():
        clips = [entry.name for entry in listed if _is_shown_folder(entry) and is_member(entry)]
        _refuse_parts(root / name, _parts(clips), f"one folder for each of the {kind}")
    for name in entries:
        if not is_plain(name):
            raise DatasetError(f"{root} must hold sub-folders with names in UTF-8 on one line, got {name!r}")
    members = {
        name: [entry for entry in listed if not is_left_out(entry.name) and is_member(entry)]
        for name, listed in entries.items()
    }
    for name, examples in members.items():
        if not examples:
            got = "only folders" if any(is_folder(entry) for entry in entries[name]) else "none"
            raise DatasetError(f"{root / name} must hold {what}, got {got}")
    total = len(top) - len(folders) + sum(map(len, entries.values()))
    return members, total - sum(map(len, members.values()))


def _is_shown_folder(entry: Path) -> bool:
    return is_folder(entry) and not is_left_out(entry.name)


def _refuse_parts(folder: Path, names: Sequence[str], what: str) -> None:
    """Refuse `folder` if `names` of it are parts of a divided set."""
    if names:
        some = f"part{'s' if len(names) > 1 else ''} {' and '.join(map(repr, names[:3]))}"
        raise DatasetError(
            f"{folder} must hold {what}, got the {some} of a divided set; import one part by its own path, put all in "
            "one folder for each class, or rename the folder of a class"
        )


def _parts(names: Iterable[str], holders: Sequence[str] = ()) -> list[str]:
    """Return the names that divide a data set: all names of parts if they differ, or else those among `holders`."""
    found = {name: match[1][:3].lower() for name in names if (match := _PART.fullmatch(name))}
    if len(set(found.values())) > 1:
        return list(found)
    return [name for name in found if name in holders]


def sorted_entries(folder: Path) -> list[Path]:
    """Return a folder's entries sorted by name; the order of paths differs between systems."""
    return sorted(folder.iterdir(), key=lambda entry: entry.name)
