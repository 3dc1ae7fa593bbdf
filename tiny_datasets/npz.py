"""Make a dataset of an NPZ file of arrays."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy

from tiny_datasets.catalogue import check_new_name
from tiny_datasets.entries import found, is_file
from tiny_datasets.errors import DatasetError
from tiny_datasets.labelled_arrays import LabelledArrays, Wanted, store_arrays
from tiny_datasets.labels import check_label_count, check_label_range, numbered_classes
from tiny_datasets.limits import check_shape
from tiny_datasets.plain_text import cut, plain, reason

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tiny_datasets.dataset import ClipDataset, PictureDataset

_WHOLE = (("images", "labels"),)
_DIVIDED = (("x_train", "y_train"), ("x_test", "y_test"))
_MEDMNIST = (("train_images", "train_labels"), ("test_images", "test_labels"))
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def import_npz(
    path: str | os.PathLike[str],
    name: str,
    *,
    height: int | None = None,
    width: int | None = None,
    colour: bool | None = None,
    test_fraction: float | None = None,
    home: str | os.PathLike[str] | None = None,
) -> PictureDataset | ClipDataset:
    """Make a dataset of an NPZ file of pictures or clips and their labels, and store it.

    The file holds ``images`` and ``labels``; or ``x_train``, ``y_train``, ``x_test`` and ``y_test``, or MedMNIST's
    ``train_images``, ``train_labels``, ``test_images`` and ``test_labels``, whose split is
    kept. Other arrays are ignored. Nothing in the file is ever unpickled.

    * Examples: ``[count, height, width]`` or ``[count, height, width, channels]`` of pictures, or
      ``[count, frames, height, width, channels]`` of clips; 1 or 3 channels; uint8 from 0 black to 255 white,
      booleans, false black and true white, or floating-point from 0 black to 1 white.
    * Labels: ``[count]`` or ``[count, 1]``, any integer dtype. The classes are ``"0"``, ``"1"``, … up to the greatest.

    Args:
        path: The file.
        name: The new dataset's name: lower-case letters, digits, ``_`` and ``-``.
        height: Height of every picture or frame in pixels, 1 to 1024; the file's own when None. They are
            cut to their centre and shrunk.
        width: Width of every picture or frame in pixels, 1 to 1024; the file's own when None.
        colour: Whether to make three channels (RGB) or one (grey); as in the file when None.
        test_fraction: The share of each class to hold out, strictly between 0 and 1; 0.2 when None. Must be None if
            the file is already split.
        home: The folder of imported datasets; `data_home()` when None.

    Returns:
        The stored dataset, with ``white = 255``.

    Raises:
        DatasetError: If an argument is out of range, the name is taken, the file is damaged or not as above, no class
            has two examples, or the dataset cannot be written. Nothing is stored then.
    """
    check_new_name(name, home)
    wanted = Wanted(height, width, colour, test_fraction)
    wanted.check()
    file = Path(path)
    parts = _read_parts(file)
    (first, train), (second, test) = [*parts.items(), ("", None)][:2]
    if test is not None and train.examples.shape[1:] != test.examples.shape[1:]:
        shapes = [list(part.examples.shape[1:]) for part in (train, test)]
        raise DatasetError(
            f"'{second}' in {file} must hold examples of shape {shapes[0]} as '{first}', got {shapes[1]}"
        )
    return store_arrays(
        name,
        train,
        test,
        numbered_classes(*[part.labels for part in parts.values()], where=file),
        wanted,
        path=file,
        source=f"an NPZ file called '{plain(file.name)}'",
        home=home,
    )


def _read_parts(path: Path) -> dict[str, LabelledArrays]:
    """Return all examples with their labels as one part, or the training part and the test part.

    Returns:
        The parts by the names of their arrays of examples.
    """
    if not is_file(path):
        raise DatasetError(f"{path} must be an NPZ file, got {found(path)}")
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                pair[0]: _labelled([_read_array(archive, path, name) for name in pair], pair, path)
                for pair in _layout(archive, path)
            }
    except DatasetError:
        raise
    except Exception as error:  # a damaged archive makes its readers raise nearly anything
        raise DatasetError(f"{path} must be a whole NPZ file, got one that cannot be read: {reason(error)}") from error


def _layout(archive: zipfile.ZipFile, path: Path) -> tuple[tuple[str, str], ...]:
    """Return the names of an archive's arrays of examples and labels."""
    names = [entry.removesuffix(".npy") for entry in archive.namelist() if entry.endswith(".npy")]
    layouts = [
        layout for layout in (_WHOLE, _DIVIDED, _MEDMNIST) if all(name in names for pair in layout for name in pair)
    ]
    if len(layouts) != 1:
        raise DatasetError(
            f"{path} must hold either images and labels, or x_train, y_train, x_test and y_test, "
            "or train_images, train_labels, test_images and test_labels, "
            f"got {cut(', '.join(map(plain, names)) or 'none at all', 80)}"
        )
    return layouts[0]


def _read_array(archive: zipfile.ZipFile, path: Path, name: str) -> NDArray[Any]:
    """Return an array whose size agrees in its header and the archive; no more than that is decompressed."""
    where = f"'{name}' in {path}"
    member = archive.getinfo(f"{name}.npy")
    with archive.open(member) as file:
        version = npy.read_magic(file)
        if version not in _HEADERS:
            raise DatasetError(f"{where} must have version 1.0 or 2.0 of the NPY format, got {version[0]}.{version[1]}")
        shape, by_columns, dtype = _HEADERS[version](file)
        if dtype.kind not in "biuf":
            got = "Python objects, which are never unpickled" if dtype.hasobject else str(dtype)
            raise DatasetError(f"{where} must hold numbers, got {got}")
        check_shape(shape, dtype.itemsize, where)
        size = math.prod(shape) * dtype.itemsize
        if member.file_size - file.tell() != size:
            raise DatasetError(
                f"{where} must hold {size} bytes after its header, as that says, got {member.file_size - file.tell()}"
            )
        content = file.read()
    return np.frombuffer(content, dtype).reshape(shape, order="F" if by_columns else "C")


def _labelled(arrays: Sequence[NDArray[Any]], names: Sequence[str], path: Path) -> LabelledArrays:
    """Check the arrays of examples and labels, named `names`, and return them."""
    examples, labels = arrays
    where = [f"'{name}' in {path}" for name in names]
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "biu":
        raise DatasetError(
            f"{where[1]} must hold whole numbers of shape [count], got {labels.dtype} of shape {list(labels.shape)}"
        )
    if examples.ndim == 3:
        examples = examples[..., None]
    if examples.ndim not in (4, 5) or examples.shape[-1] not in (1, 3):
        raise DatasetError(
            f"{where[0]} must have shape [count, height, width], [count, height, width, channels] or "
            f"[count, frames, height, width, channels] with 1 or 3 channels last, got {list(examples.shape)}"
        )
    check_label_count(labels, len(examples), where[1])
    check_label_range(labels, where[1])  # before int64 makes the greatest of uint64 negative
    return LabelledArrays(_as_bytes(examples, where[0]), labels.astype(np.int64))


def _as_bytes(examples: NDArray[Any], where: str) -> NDArray[np.uint8]:
    """Return examples with white as 255."""
    if examples.dtype == np.uint8:
        return examples
    if examples.dtype == np.bool_:
        return examples * np.uint8(255)
    if examples.dtype.kind != "f":
        raise DatasetError(f"{where} must hold uint8, or floating-point numbers from 0 to 1, got {examples.dtype}")
    for value in (float(examples.min()), float(examples.max())):
        if not 0 <= value <= 1:
            raise DatasetError(f"{where} must hold floating-point numbers from 0 black to 1 white, got {value}")
    return np.rint(examples.astype(np.float32) * 255).astype(np.uint8)
