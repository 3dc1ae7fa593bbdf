"""Make a dataset of a folder of clips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiny_datasets.catalogue import add, check_new_name
from tiny_datasets.class_folders import read_class_folders
from tiny_datasets.dataset import ClipDataset
from tiny_datasets.entries import is_folder
from tiny_datasets.limits import check_side
from tiny_datasets.plain_text import plain
from tiny_datasets.split import check_fraction

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

SUFFIXES = frozenset({".apng", ".gif", ".png", ".webp"})
"""Suffixes of animated files, in lower case; case is ignored."""


def import_clips(
    path: str | os.PathLike[str],
    name: str,
    *,
    frames: int = 4,
    height: int = 8,
    width: int = 8,
    colour: bool = False,
    test_fraction: float = 0.2,
    home: str | os.PathLike[str] | None = None,
) -> ClipDataset:
    """Make a dataset of a folder that holds one folder of clips for each class, and store it.

    A clip is an animated GIF, PNG or WebP file, or a folder of frames, which are pictures in the order of their names,
    ``frame10`` after ``frame9``. A longer clip is divided into `frames` equal parts, and the middle frame of each is
    used. Each frame is treated as `import_pictures` treats a picture. Hidden files and files whose names are not
    a clip's are left out; the dataset's description says how many. The same folder always
    gives the same dataset.

    Args:
        path: The folder. The names of its sub-folders, sorted, become the classes.
        name: The new dataset's name: lower-case letters, digits, ``_`` and ``-``.
        frames: Frames of every clip, 1 to 1024.
        height: Height of every frame in pixels, 1 to 1024.
        width: Width of every frame in pixels, 1 to 1024.
        colour: Whether to keep three channels (RGB) or one (grey).
        test_fraction: The share of each class to hold out, strictly between 0 and 1; every class keeps at least one
            clip for training, and a class of two or more holds out at least one.
        home: The folder of imported datasets; `data_home()` when None.

    Returns:
        The stored dataset, with ``white = 255``.

    Raises:
        DatasetError: If an argument is out of range, the name is taken, the folder has no classes, a class's name is
            no UTF-8, a class has no clips, no class has two, a clip has too few frames or frames of different sizes, a
            file cannot be read, or the dataset cannot be written. Nothing is stored then.
    """
    check_new_name(name, home)
    check_fraction(test_fraction)
    for side, size in (("frames", frames), ("height", height), ("width", width)):
        check_side(side, size)
    # Import Pillow late: it is slow, and loading a dataset does not need it.
    from tiny_datasets.clip_file import read_clip  # noqa: PLC0415

    root = Path(path)

    def read(clip: Path) -> NDArray[Any]:
        return read_clip(clip, frames, height, width, colour=colour)

    what = f"clips ({' '.join(sorted(SUFFIXES))} or folders of frames)"
    train, test, classes, left_out = read_class_folders(root, _is_clip, what, read, test_fraction)
    dataset = ClipDataset(
        name=name,
        train=train,
        test=test,
        classes=classes,
        description=(
            f"{len(train) + len(test)} clips of {frames} frames in {len(classes)} classes, cut to their centre and "
            f"shrunk to {height}x{width} {'colour' if colour else 'grey'} pixels; files left out: {left_out}."
        ),
        licence="not stated",
        # The name, not the path: reports are shared, and paths reveal people.
        source=f"a folder of clips called '{plain(root.resolve().name)}'",
        white=255,
    )
    add(dataset, home)
    return dataset


def _is_clip(entry: Path) -> bool:
    return is_folder(entry) or entry.suffix.lower() in SUFFIXES
