"""Make a dataset of a folder of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tiny_datasets.catalogue import add, check_new_name
from tiny_datasets.dataset import PictureDataset
from tiny_datasets.errors import DatasetError
from tiny_datasets.split import check_fraction, divide, held_out_counts

if TYPE_CHECKING:
    import os

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""What a picture's file name ends in, in lower case; any case will do."""

MAX_SIDE = 1024
"""The greatest height and width of a dataset's pictures, in pixels. They are meant to be tiny."""


def import_pictures(
    path: str | os.PathLike[str],
    name: str,
    *,
    height: int = 8,
    width: int = 8,
    colour: bool = False,
    test_fraction: float = 0.2,
    home: str | os.PathLike[str] | None = None,
) -> PictureDataset:
    """Make a dataset of a folder that holds one folder of pictures for each class, and store it.

    Each picture is turned upright by its EXIF orientation, put on black where it is transparent, cut to its centre and
    shrunk. Hidden files, folders inside a class's folder and files that are no picture by their name are left out, and
    the dataset's description says how many. The same folder always gives the same dataset.

    Args:
        path: The folder. The names of its sub-folders, sorted, become the classes.
        name: The new dataset's name: lower-case letters, digits, ``_`` and ``-``.
        height: Of every picture, in pixels, 1 to 1024.
        width: Of every picture, in pixels, 1 to 1024.
        colour: Whether to keep three channels (RGB) or one (grey).
        test_fraction: The share of each class to hold out, strictly between 0 and 1; every class keeps at least one
            picture for training, and a class of two or more holds out at least one.
        home: The folder of imported datasets; `data_home()` when None.

    Returns:
        The stored dataset, with ``white = 255``.

    Raises:
        DatasetError: If an argument is out of range, the name is taken, the folder has no classes, a class has no
            pictures, no class has two, a picture cannot be read, or the dataset cannot be written. Nothing is stored
            then.
    """
    check_new_name(name, home)
    check_fraction(test_fraction)
    for side, size in (("height", height), ("width", width)):
        if not 1 <= size <= MAX_SIDE:
            raise DatasetError(f"{side} must be from 1 to {MAX_SIDE} pixels, got {size}")
    # Pillow is slow to import and of no use to anyone who only loads datasets.
    from tiny_datasets.picture_file import read_picture  # noqa: PLC0415

    root = Path(path)
    files, ignored = _files_by_class(root)
    labels = np.repeat(np.arange(len(files), dtype=np.int64), [len(members) for members in files.values()])
    held_out = held_out_counts(labels, len(files), test_fraction, root)
    examples = np.stack(
        [read_picture(file, height, width, colour=colour) for members in files.values() for file in members]
    )
    train, test = divide(examples, labels, held_out)
    dataset = PictureDataset(
        name=name,
        train=train,
        test=test,
        classes=tuple(files),
        description=(
            f"{len(labels)} pictures of {len(files)} classes, cut to their centre and shrunk to {height}x{width} "
            f"{'colour' if colour else 'grey'} pixels; files left out: {ignored}."
        ),
        licence="not stated",
        # Its name and not its path: reports are shared, and paths tell of people.
        source=f"a folder of pictures called '{root.resolve().name}'",
        white=255,
    )
    add(dataset, home)
    return dataset


def _files_by_class(root: Path) -> tuple[dict[str, list[Path]], int]:
    """Return each class's picture files, both sorted by name, and how many entries are neither."""
    if not root.is_dir():
        got = "a file" if root.exists() else "nothing there"
        raise DatasetError(f"{root} must be a folder with one sub-folder of pictures for each class, got {got}")
    try:
        top = _sorted(root)
        folders = [entry for entry in top if entry.is_dir() and not entry.name.startswith(".")]
        members = {folder.name: _sorted(folder) for folder in folders}
    except OSError as error:
        raise DatasetError(f"{root} and its sub-folders must be readable, got {error.strerror}") from error
    if not folders:
        raise DatasetError(f"{root} must hold one sub-folder of pictures for each class, got no sub-folders")
    files = {name: [entry for entry in entries if _is_picture(entry)] for name, entries in members.items()}
    for name, pictures in files.items():
        if not pictures:
            suffixes = " ".join(sorted(SUFFIXES))
            raise DatasetError(f"{root / name} must hold at least one picture ({suffixes}), got none")
    total = len(top) - len(folders) + sum(len(entries) for entries in members.values())
    return files, total - sum(len(pictures) for pictures in files.values())


def _sorted(folder: Path) -> list[Path]:
    """Return a folder's entries by name; paths themselves sort differently from one system to the next."""
    return sorted(folder.iterdir(), key=lambda entry: entry.name)


def _is_picture(entry: Path) -> bool:
    return entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".") and not entry.is_dir()
