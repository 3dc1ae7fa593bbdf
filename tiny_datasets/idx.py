"""Make a dataset of IDX files, the format of MNIST and similar datasets."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from tiny_datasets.catalogue import check_new_name
from tiny_datasets.entries import found, is_file, is_folder
from tiny_datasets.errors import DatasetError
from tiny_datasets.labelled_arrays import LabelledArrays, Wanted, store_arrays
from tiny_datasets.labels import check_label_count, numbered_classes
from tiny_datasets.limits import check_shape
from tiny_datasets.plain_text import plain, reason

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from tiny_datasets.dataset import ClipDataset, PictureDataset

_UNSIGNED_BYTES = 0x08
_GZIP = b"\x1f\x8b"
_CHUNK = 2**20
_TRAIN = r"train-images[-.]idx3-ubyte(\.gz)?"
_EMNIST_TRAIN = rf"emnist-[a-z]+-{_TRAIN}"


def import_idx(
    path: str | os.PathLike[str],
    name: str,
    *,
    height: int | None = None,
    width: int | None = None,
    colour: bool | None = None,
    test_fraction: float | None = None,
    home: str | os.PathLike[str] | None = None,
) -> PictureDataset | ClipDataset:
    """Make a dataset of IDX files of pictures and labels, and store it.

    Either a folder with ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte`` and
    ``t10k-labels-idx1-ubyte``, whose split into training and test is kept; or one file of pictures, with the file of
    labels beside it under the same name except ``labels`` and ``idx1``. Names may have ``.`` before ``idx`` and end in
    ``.gz``; files may be compressed with gzip under any name. Names that begin with ``emnist-`` are EMNIST's, with
    ``test`` for ``t10k``; its pictures, stored column by column, are turned upright. The classes are ``"0"``, ``"1"``,
    … up to the greatest label.

    Args:
        path: The folder or the file.
        name: The new dataset's name: lower-case letters, digits, ``_`` and ``-``.
        height: Height of every picture in pixels, 1 to 1024; the files' own when None. Pictures are cut to their
            centre and shrunk.
        width: Width of every picture in pixels, 1 to 1024; the files' own when None.
        colour: Whether to repeat the one channel three times; no when None.
        test_fraction: The share of each class to hold out, strictly between 0 and 1, for one file of pictures; 0.2 when
            None. Must be None for a folder.
        home: The folder of imported datasets; `data_home()` when None.

    Returns:
        The stored dataset, with ``white = 255``.

    Raises:
        DatasetError: If an argument is out of range, the name is taken, a file is missing, damaged or contradicts its
            header, pictures and labels do not match, no class has two, or the dataset cannot be written. Nothing is
            stored then.
    """
    check_new_name(name, home)
    wanted = Wanted(height, width, colour, test_fraction)
    wanted.check()
    root = Path(path)
    if is_folder(root):
        train, test = map(_read_part, _parts(root))
        if train.examples.shape[1:] != test.examples.shape[1:]:
            sizes = [f"{height}x{width}" for height, width in (part.examples.shape[1:3] for part in (train, test))]
            raise DatasetError(
                f"{root} must hold test pictures of {sizes[0]} pixels as the training ones, got {sizes[1]}"
            )
        labels = (train.labels, test.labels)
    else:
        train, test = _read_part(root), None
        labels = (train.labels,)
    return store_arrays(
        name,
        train,
        test,
        numbered_classes(*labels, where=root),
        wanted,
        path=root,
        source=f"IDX files called '{plain(root.resolve().name)}'",
        home=home,
    )


def _parts(folder: Path) -> tuple[Path, Path]:
    """Return the pictures to train and to test on, of MNIST and its kin or of one split of EMNIST."""
    try:
        listed = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise DatasetError(f"{folder} must be readable, got {error.strerror}") from error
    names = [name for name in listed if re.fullmatch(_EMNIST_TRAIN, name)]
    if len(names) > 1:
        raise DatasetError(f"{folder} must hold one split of EMNIST, got {names[0]} and {names[1]}")
    whole = [name for name in listed if re.fullmatch(_TRAIN, name)]
    if names and whole:
        raise DatasetError(f"{folder} must hold one data set, MNIST's or EMNIST's, got {whole[0]} and {names[0]}")
    if not names:
        train, test = (_find(folder, f"{part}-images-idx3-ubyte") for part in ("train", "t10k"))
        return train, test
    test = names[0].removesuffix(".gz").replace("-train-", "-test-")
    return folder / names[0], _find(folder, test)


def _find(folder: Path, name: str) -> Path:
    """Return the file `name` in a folder, also with ``.idx`` for ``-idx`` or with ``.gz`` at the end."""
    choices = [folder / (spelling + end) for end in ("", ".gz") for spelling in (name, name.replace("-idx", ".idx"))]
    for choice in choices:
        if is_file(choice):
            return choice
    raise DatasetError(f"{folder} must hold {name}, plain or .gz, got no such file")


def _read_part(images: Path) -> LabelledArrays:
    """Return the pictures of one file and the labels of the file beside it."""
    examples = _read_idx(images, rank=3)
    if images.name.startswith("emnist-"):  # stored column by column
        examples = examples.swapaxes(1, 2)
    name = images.name.removesuffix(".gz").replace(".idx", "-idx")
    beside = name.replace("images", "labels").replace("idx3", "idx1")
    if beside == name:
        raise DatasetError(
            f"{images} must have 'images' in its name, so that its labels are found beside it, got {images.name!r}"
        )
    file = _find(images.parent, beside)
    labels = _read_idx(file, rank=1)
    check_label_count(labels, len(examples), file)
    return LabelledArrays(examples[..., None], labels.astype(np.int64))


def _read_idx(path: Path, rank: int) -> NDArray[np.uint8]:
    """Return the unsigned bytes of an IDX file with `rank` axes, plain or compressed with gzip."""
    if not is_file(path):
        raise DatasetError(f"{path} must be an IDX file, got {found(path)}")
    try:
        with path.open("rb") as file:
            compressed = file.read(len(_GZIP)) == _GZIP
        with gzip.open(path) if compressed else path.open("rb") as file:
            magic = _UNSIGNED_BYTES << 8 | rank
            header = file.read(4 + 4 * rank)
            number = int.from_bytes(header[:4], "big")
            if len(header) < 4 or number != magic:
                got = f"0x{number:08X}" if len(header) >= 4 else f"only {len(header)} bytes"
                raise DatasetError(f"{path} must begin with the magic number 0x{magic:08X}, got {got}")
            if len(header) < 4 + 4 * rank:
                raise DatasetError(f"{path} must have a header of {4 + 4 * rank} bytes, got only {len(header)}")
            shape = tuple(np.frombuffer(header, ">u4", offset=4).tolist())
            check_shape(shape, 1, path)
            size = math.prod(shape)
            content = _read_at_most(file, size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path} must be a whole IDX file, got one that cannot be read: {reason(error)}") from error
    if len(content) != size:
        got = "more" if len(content) > size else f"only {len(content)}"
        raise DatasetError(f"{path} must hold {size} bytes after its header, as that says, got {got}")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _read_at_most(file: BinaryIO | gzip.GzipFile, size: int) -> bytes:
    """Read piece by piece, so that memory grows with the content and not with the header's promise."""
    content = bytearray()
    while piece := file.read(min(_CHUNK, size - len(content))):
        content += piece
    return bytes(content)
