"""Make a dataset of latents from an external encoder."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tiny_datasets.catalogue import add, check_new_name
from tiny_datasets.dataset import LatentDataset
from tiny_datasets.errors import DatasetError
from tiny_datasets.labels import read_labels
from tiny_datasets.metadata_file import FACTOR, LEAST, MOST
from tiny_datasets.plain_text import cut, plain
from tiny_datasets.split import check_fraction, divide, held_out_counts
from tiny_datasets.tensor_file import TensorFile, read_tensor_file

if TYPE_CHECKING:
    import os


MAX_SPREAD = 1000.0
"""The greatest standard deviation of scaled latents, and one over the least: beyond it training learns nothing."""


def import_latents(
    path: str | os.PathLike[str],
    name: str,
    *,
    scale: float | None = None,
    test_fraction: float = 0.2,
    home: str | os.PathLike[str] | None = None,
) -> LatentDataset:
    """Make a dataset of a safetensors file of latents, and store it.

    The file holds these tensors:

    * ``latents``: ``[count, height, width, channels]``, floating-point; stored as float32, not multiplied by the scale.
    * ``labels``: ``[count]``, any integer dtype, indices into the classes.

    and this text metadata:

    * ``scale``, required unless passed as an argument: one over the standard deviation of the encoder's latents.
    * ``classes``, optional: a JSON list of names; by default ``"0"``, ``"1"``, … up to the greatest label.

    Args:
        path: The file.
        name: The new dataset's name: lower-case letters, digits, ``_`` and ``-``.
        scale: The factor that training multiplies latents by, such as 0.18215 for Stable Diffusion's autoencoder; the
            file's own when None. It brings the latents' standard deviation to about 1, at least into 0.001 … 1000.
        test_fraction: The share of each class to hold out, strictly between 0 and 1; every class keeps at least one
            example for training, and a class of two or more holds out at least one.
        home: The folder of imported datasets; `data_home()` when None.

    Returns:
        The stored dataset.

    Raises:
        DatasetError: If an argument is out of range, the name is taken, the file is not as above, the scale is missing,
            no class has two examples, or the dataset cannot be written. Nothing is stored then.
    """
    check_new_name(name, home)
    check_fraction(test_fraction)
    if scale is not None and not is_scale(scale):
        raise DatasetError(f"scale must be {FACTOR}, got {scale}")
    file = read_tensor_file(Path(path), required=("latents", "labels"))
    latents = file.finite_floats("latents", rank=4)
    if len(latents) < 2 or not latents.size:
        raise DatasetError(
            f"'latents' in {path} must hold 2 or more examples of at least one number, got shape {list(latents.shape)}"
        )
    labels, classes = read_labels(file, len(latents))
    factor = _stored_scale(file) if scale is None else float(scale)
    held_out = held_out_counts(labels, len(classes), test_fraction, file.path)
    deviation = float(np.std(latents, dtype=np.float64))
    if not 1 / MAX_SPREAD <= deviation * factor <= MAX_SPREAD:
        raise DatasetError(
            f"scale must bring the standard deviation of the latents in {path} to about 1, at least into "
            f"{1 / MAX_SPREAD:g} … {MAX_SPREAD:g}, got {factor:.6g} times {deviation:.3g}"
        )

    train, test = divide(latents, labels, held_out)
    height, width, channels = latents.shape[1:]
    dataset = LatentDataset(
        name=name,
        train=train,
        test=test,
        classes=classes,
        description=f"{len(labels)} latents of {height}x{width}x{channels} numbers, in {len(classes)} classes.",
        licence="not stated",
        # The name, not the path: reports are shared, and paths reveal people.
        source=f"a file of latents called '{plain(file.path.name)}'",
        scale=factor,
    )
    add(dataset, home)
    return dataset


def is_scale(scale: float) -> bool:
    """Return whether a factor is in the range of float32, in which training multiplies."""
    return LEAST <= scale <= MOST


def _stored_scale(file: TensorFile) -> float:
    text = file.metadata.get("scale")
    if text is None:
        raise DatasetError(
            f"{file.path} must have metadata 'scale' when no scale is passed to the import, "
            f"got only {', '.join(file.metadata) or 'none'}; pass the factor that goes with its encoder"
        )
    try:
        scale = float(text)
    except ValueError:
        scale = math.nan
    if not is_scale(scale):
        raise DatasetError(f"metadata 'scale' in {file.path} must be {FACTOR}, got {cut(repr(text), 60)}")
    return scale
