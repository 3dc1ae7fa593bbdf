"""Make a dataset of tokens from an external tokenizer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tiny_datasets.catalogue import add, check_new_name
from tiny_datasets.codebook import read_codebook
from tiny_datasets.dataset import TokenDataset
from tiny_datasets.errors import DatasetError
from tiny_datasets.labels import count_of, read_labels
from tiny_datasets.limits import MAX_CODES
from tiny_datasets.plain_text import plain
from tiny_datasets.split import check_fraction, divide, held_out_counts
from tiny_datasets.tensor_file import TensorFile, read_tensor_file
from tiny_datasets.token_grid import CLIP_RANK, grid_rank

if TYPE_CHECKING:
    import os


def import_tokens(
    path: str | os.PathLike[str],
    name: str,
    *,
    test_fraction: float = 0.2,
    home: str | os.PathLike[str] | None = None,
) -> TokenDataset:
    """Make a dataset of a safetensors file of tokens, and store it.

    The file holds these tensors:

    * ``tokens``: ``[count, rows, columns]`` for pictures or ``[count, frames, rows, columns]`` for clips, any integer
      dtype, values from 0 to ``codebook_size − 1``.
    * ``labels``: ``[count]``, any integer dtype, indices into the classes.
    * ``codebook``, optional: ``[codebook_size, patch_frames · patch_size · patch_size · channels]``, floating-point,
      the patch or tubelet of each token, flattened in the order (frame, row, column, channel) with
      1 or 3 channels, 0 black and 1 white. Values may reach a little beyond.

    and this text metadata:

    * ``codebook_size``, optional: a whole number; by default the rows of the codebook, or else the greatest token + 1.
    * ``patch_size``: a whole number, needed with a codebook.
    * ``patch_frames``, optional: a whole number, the frames in each token; by default 1, and always 1 for pictures.
    * ``classes``, optional: a JSON list of names; by default ``"0"``, ``"1"``, … up to the greatest label.

    Args:
        path: The file.
        name: The new dataset's name: lower-case letters, digits, ``_`` and ``-``.
        test_fraction: The share of each class to hold out, strictly between 0 and 1; every class keeps at least one
            example for training, and a class of two or more holds out at least one.
        home: The folder of imported datasets; `data_home()` when None.

    Returns:
        The stored dataset.

    Raises:
        DatasetError: If an argument is out of range, the name is taken, the file is not as above, no class has two
            examples, or the dataset cannot be written. Nothing is stored then.
    """
    check_new_name(name, home)
    check_fraction(test_fraction)
    file = read_tensor_file(Path(path), required=("tokens", "labels"), optional=("codebook",))
    tokens = file.integers("tokens", rank=grid_rank(file, "tokens"))
    if len(tokens) < 2 or not tokens.size:
        raise DatasetError(
            f"'tokens' in {path} must hold 2 or more examples of at least one token, got shape {list(tokens.shape)}"
        )
    codes = _codebook_size(file)
    file.check_range("tokens", codes)
    labels, classes = read_labels(file, len(tokens))
    patch_size = _number(file, "patch_size") if "codebook" in file.tensors else None
    patch_frames = 1 if patch_size is None else _patch_frames(file)
    codebook = None if patch_size is None else read_codebook(file, codes, patch_size, patch_frames)

    train, test = divide(
        tokens.astype(np.int64), labels, held_out_counts(labels, len(classes), test_fraction, file.path)
    )
    sides = "x".join(str(side) for side in tokens.shape[1:])
    dataset = TokenDataset(
        name=name,
        train=train,
        test=test,
        classes=classes,
        description=f"{len(labels)} grids of {sides} tokens out of {codes}, in {len(classes)} classes.",
        licence="not stated",
        # The name, not the path: reports are shared, and paths reveal people.
        source=f"a file of tokens called '{plain(file.path.name)}'",
        codebook_size=codes,
        codebook=codebook,
        patch_size=patch_size,
        patch_frames=patch_frames,
    )
    add(dataset, home)
    return dataset


def _codebook_size(file: TensorFile) -> int:
    if "codebook_size" in file.metadata:
        return _number(file, "codebook_size")
    if "codebook" in file.tensors:
        return len(file.floats("codebook", rank=2))
    return count_of(file.tensors["tokens"], MAX_CODES)


def _patch_frames(file: TensorFile) -> int:
    frames = _number(file, "patch_frames") if "patch_frames" in file.metadata else 1
    if frames > 1 and file.tensors["tokens"].ndim < CLIP_RANK:
        raise DatasetError(
            f"metadata 'patch_frames' in {file.path} must be 1 for tokens without an axis of frames, got {frames}"
        )
    return frames


def _number(file: TensorFile, key: str) -> int:
    """Return a whole number from 1 to `MAX_CODES` from the file's metadata."""
    text = file.metadata.get(key)
    if text is None:
        raise DatasetError(f"{file.path} must have metadata '{key}', got only {', '.join(file.metadata) or 'none'}")
    if not re.fullmatch("[1-9][0-9]{0,7}", text) or int(text) > MAX_CODES:
        raise DatasetError(
            f"metadata '{key}' in {file.path} must be a whole number from 1 to {MAX_CODES}, got {text!r}"
        )
    return int(text)
