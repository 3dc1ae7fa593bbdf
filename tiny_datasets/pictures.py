"""Make a dataset of a folder of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiny_datasets.catalogue import add, check_new_name
from tiny_datasets.class_folders import read_class_folders
from tiny_datasets.dataset import PictureDataset
from tiny_datasets.entries import is_folder
from tiny_datasets.limits import check_side
from tiny_datasets.plain_text import plain
from tiny_datasets.split import check_fraction

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""Suffixes of pictures, in lower case; case is ignored."""


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

    Each file holds one picture. It is turned upright by its EXIF orientation, put on black where it is transparent, cut
    to its centre and shrunk. Hidden files, folders inside a class's folder and files whose names are not a picture's
    are left out; the dataset's description says how many. The same folder always gives the same dataset.

    Args:
        path: The folder. The names of its sub-folders, sorted, become the classes.
        name: The new dataset's name: lower-case letters, digits, ``_`` and ``-``.
        height: Height of every picture in pixels, 1 to 1024.
        width: Width of every picture in pixels, 1 to 1024.
        colour: Whether to keep three channels (RGB) or one (grey).
        test_fraction: The share of each class to hold out, strictly between 0 and 1; every class keeps at least one
            picture for training, and a class of two or more holds out at least one.
        home: The folder of imported datasets; `data_home()` when None.

    Returns:
        The stored dataset, with ``white = 255``.

    Raises:
        DatasetError: If an argument is out of range, the name is taken, the folder has no classes, a class's name is
            no UTF-8, a class has no pictures, no class has two, a file is no picture or holds several, or the dataset
            cannot be written. Nothing is stored then.
    """
    check_new_name(name, home)
    check_fraction(test_fraction)
    check_side("height", height)
    check_side("width", width)
    # Import Pillow late: it is slow, and loading a dataset does not need it.
    from tiny_datasets.picture_file import read_picture  # noqa: PLC0415

    root = Path(path)

    def read(file: Path) -> NDArray[Any]:
        return read_picture(file, height, width, colour=colour)

    what = f"pictures ({' '.join(sorted(SUFFIXES))})"
    train, test, classes, left_out = read_class_folders(root, is_picture, what, read, test_fraction)
    dataset = PictureDataset(
        name=name,
        train=train,
        test=test,
        classes=classes,
        description=(
            f"{len(train) + len(test)} pictures of {len(classes)} classes, cut to their centre and shrunk "
            f"to {height}x{width} {'colour' if colour else 'grey'} pixels; files left out: {left_out}."
        ),
        licence="not stated",
        # The name, not the path: reports are shared, and paths reveal people.
        source=f"a folder of pictures called '{plain(root.resolve().name)}'",
        white=255,
    )
    add(dataset, home)
    return dataset


def is_picture(entry: Path) -> bool:
    """Return whether an entry of a folder is a file with a picture's suffix."""
    return entry.suffix.lower() in SUFFIXES and not is_folder(entry)
