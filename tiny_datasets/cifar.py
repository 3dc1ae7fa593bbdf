"""Make a dataset of CIFAR-10 or CIFAR-100 in the binary version."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tiny_datasets.catalogue import check_new_name
from tiny_datasets.class_folders import sorted_entries
from tiny_datasets.entries import found, is_file, is_folder
from tiny_datasets.errors import DatasetError
from tiny_datasets.labelled_arrays import LabelledArrays, Wanted, store_arrays
from tiny_datasets.limits import MAX_BYTES
from tiny_datasets.metadata_file import class_names
from tiny_datasets.plain_text import decoded, plain

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from tiny_datasets.dataset import ClipDataset, PictureDataset

_SIDE, _CHANNELS = 32, 3
_PIXELS = _CHANNELS * _SIDE * _SIDE
_BATCHES = 5


def import_cifar(
    path: str | os.PathLike[str],
    name: str,
    *,
    height: int | None = None,
    width: int | None = None,
    colour: bool | None = None,
    home: str | os.PathLike[str] | None = None,
) -> PictureDataset | ClipDataset:
    """Make a dataset of a folder of CIFAR's binary files, and store it.

    CIFAR-10 has ``data_batch_1.bin`` and so on, ``test_batch.bin`` and ``batches.meta.txt``; a record is one label byte
    and the 32×32 pixels of red, green and blue. CIFAR-100 has ``train.bin``, ``test.bin`` and ``fine_label_names.txt``;
    a record has a coarse label, which is ignored, before the fine one. The split into training and test is kept.

    Args:
        path: The folder.
        name: The new dataset's name: lower-case letters, digits, ``_`` and ``-``.
        height: Height of every picture in pixels, 1 to 1024; 32 when None. Pictures are cut to their centre and shrunk.
        width: Width of every picture in pixels, 1 to 1024; 32 when None.
        colour: Whether to keep three channels (RGB) or make them one (grey); three when None.
        home: The folder of imported datasets; `data_home()` when None.

    Returns:
        The stored dataset, with ``white = 255``.

    Raises:
        DatasetError: If an argument is out of range, the name is taken, both data sets are there, a file is missing or
            cannot be read, is not made of whole records, or has a label without a class, or the dataset cannot be
            written. Nothing is stored then.
    """
    check_new_name(name, home)
    wanted = Wanted(height, width, colour, test_fraction=None)
    wanted.check()
    root = Path(path)
    if not is_folder(root):
        raise DatasetError(f"{root} must be a folder of CIFAR's binary files, got {found(root, 'nothing there')}")
    try:
        batches = [entry for entry in sorted_entries(root) if re.fullmatch(r"data_batch_[0-9]+\.bin", entry.name)]
    except OSError as error:
        raise DatasetError(f"{root} must be readable, got {error.strerror}") from error
    numbers = sorted(int(re.sub("[^0-9]", "", batch.name)) for batch in batches)
    if batches and is_file(root / "train.bin"):
        raise DatasetError(f"{root} must hold CIFAR-10 or CIFAR-100, got both: {batches[0].name} and train.bin")
    if numbers != list(range(1, len(numbers) + 1)):
        raise DatasetError(
            f"{root} must hold data_batch_1.bin to data_batch_{numbers[-1]}.bin without a gap, "
            f"got only the numbers {', '.join(map(str, numbers))}"
        )
    note = f" Batches to train on: {len(batches)} of CIFAR-10's {_BATCHES}." if 0 < len(batches) < _BATCHES else ""
    if batches:
        test, names, label_bytes = root / "test_batch.bin", root / "batches.meta.txt", 1
    else:
        batches, test, names, label_bytes = [root / "train.bin"], root / "test.bin", root / "fine_label_names.txt", 2
        if not is_file(batches[0]):
            raise DatasetError(f"{root} must hold data_batch_1.bin of CIFAR-10 or train.bin of CIFAR-100, got neither")
    classes = _read_classes(names)
    return store_arrays(
        name,
        _read_records(batches, label_bytes, len(classes)),
        _read_records([test], label_bytes, len(classes)),
        classes,
        wanted,
        path=root,
        note=note,
        source=f"CIFAR's binary files in a folder called '{plain(root.resolve().name)}'",
        home=home,
    )


def _read_classes(path: Path) -> tuple[str, ...]:
    try:
        lines = decoded(_content(path)).splitlines()
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} must hold the classes' names in UTF-8, got {error.reason}") from error
    return class_names([line.strip() for line in lines if line.strip()], path)


def _read_records(paths: Sequence[Path], label_bytes: int, classes: int) -> LabelledArrays:
    """Return the records of all files in order, channels last; the last label byte counts."""
    parts = []
    for path in paths:
        content, record = _content(path), label_bytes + _PIXELS
        if not content or len(content) % record:
            raise DatasetError(f"{path} must hold 1 or more records of {record} bytes, got {len(content)} bytes")
        part = np.frombuffer(content, np.uint8).reshape(-1, record)
        greatest = int(part[:, label_bytes - 1].max())
        if greatest >= classes:
            raise DatasetError(f"{path} must hold labels from 0 to {classes - 1}, got {greatest}")
        parts.append(part)
    records = np.concatenate(parts)
    planes = records[:, label_bytes:].reshape(-1, _CHANNELS, _SIDE, _SIDE)
    return LabelledArrays(planes.transpose(0, 2, 3, 1), records[:, label_bytes - 1].astype(np.int64))


def _content(path: Path) -> bytes:
    if not is_file(path):
        raise DatasetError(f"{path} must be a file of CIFAR, got {found(path)}")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise DatasetError(f"{path} must have at most {MAX_BYTES:,} bytes, got {size:,}")
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} must be a readable file, got {error.strerror}") from error
