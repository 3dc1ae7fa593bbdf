"""A dataset on disk: a folder with `dataset.json` (the metadata) and `dataset.safetensors` (the numbers)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.numpy

from tiny_datasets.codebook import read_codebook
from tiny_datasets.dataset import ClipDataset, Dataset, LatentDataset, PictureDataset, Split, TokenDataset
from tiny_datasets.errors import DatasetError
from tiny_datasets.limits import MAX_CODES
from tiny_datasets.metadata_file import MetadataFile, metadata_text
from tiny_datasets.tensor_file import TensorFile, read_tensor_file
from tiny_datasets.token_grid import CLIP_RANK, grid_rank

if TYPE_CHECKING:
    from pathlib import Path

METADATA_FILE = "dataset.json"
TENSOR_FILE = "dataset.safetensors"


def write_dataset(folder: Path, dataset: Dataset) -> None:
    """Write a dataset's two files, through to the disk; the same dataset always gives the same bytes.

    Args:
        folder: An existing folder. Its name is the dataset's name, which is therefore not written into the files.
        dataset: The dataset to write. Rules for pictures or clips are code, and a labelling by motion belongs to such a
            rule, so neither is written.

    Raises:
        OSError: If a file cannot be written.
    """
    fields: dict[str, object] = {
        "kind": dataset.kind,
        "description": dataset.description,
        "licence": dataset.licence,
        "source": dataset.source,
        "classes": dataset.classes,
    }
    tensors = {
        "train_examples": dataset.train.examples,
        "train_labels": dataset.train.labels,
        "test_examples": dataset.test.examples,
        "test_labels": dataset.test.labels,
    }
    if isinstance(dataset, PictureDataset | ClipDataset):
        fields["white"] = dataset.white
    if isinstance(dataset, TokenDataset):
        fields["codebook_size"] = dataset.codebook_size
        if dataset.codebook is not None:
            fields["patch_size"] = dataset.patch_size
            if dataset.train.examples.ndim == CLIP_RANK:
                fields["patch_frames"] = dataset.patch_frames
            tensors["codebook"] = dataset.codebook
    if isinstance(dataset, LatentDataset):
        fields["scale"] = dataset.scale
    # safetensors stores memory as it is and assumes row-major order.
    row_major = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    _write_through(folder / METADATA_FILE, metadata_text(fields).encode())
    _write_through(folder / TENSOR_FILE, safetensors.numpy.save(row_major))


def read_dataset(folder: Path) -> PictureDataset | ClipDataset | TokenDataset | LatentDataset:
    """Read the dataset stored in a folder, and check every promise of `Dataset` and `Split`.

    Args:
        folder: The folder of the two files; its name is the dataset's name.

    Returns:
        The dataset, its arrays read-only.

    Raises:
        DatasetError: If a file is missing or damaged, or the two do not make a dataset.
    """
    metadata = MetadataFile(folder / METADATA_FILE)
    file = read_tensor_file(
        folder / TENSOR_FILE,
        required=("train_examples", "train_labels", "test_examples", "test_labels"),
        optional=("codebook",),
    )
    classes, parts = metadata.classes(), ("train", "test")
    known: dict[str, Any] = {
        "name": folder.name,
        "classes": classes,
        "description": metadata.text("description"),
        "licence": metadata.text("licence"),
        "source": metadata.text("source"),
    }
    kind = metadata.text("kind")
    if kind == "pictures":
        white = metadata.count("white", 255)
        train, test = (_split(file, part, np.uint8, 4, limit=white + 1, classes=len(classes)) for part in parts)
        return PictureDataset(**known, train=train, test=test, white=white)
    if kind == "clips":
        white = metadata.count("white", 255)
        train, test = (_split(file, part, np.uint8, 5, limit=white + 1, classes=len(classes)) for part in parts)
        return ClipDataset(**known, train=train, test=test, white=white)
    if kind == "tokens":
        codes, rank = metadata.count("codebook_size", MAX_CODES), grid_rank(file, "train_examples")
        train, test = (_split(file, part, np.int64, rank, limit=codes, classes=len(classes)) for part in parts)
        if "codebook" in file.tensors:
            known["patch_size"] = metadata.count("patch_size", MAX_CODES)
            known["patch_frames"] = metadata.count("patch_frames", MAX_CODES) if rank == CLIP_RANK else 1
            known["codebook"] = read_codebook(file, codes, known["patch_size"], known["patch_frames"])
        return TokenDataset(**known, train=train, test=test, codebook_size=codes)
    if kind == "latents":
        train, test = (_split(file, part, np.float32, 4, classes=len(classes)) for part in parts)
        return LatentDataset(**known, train=train, test=test, scale=metadata.factor("scale"))
    raise DatasetError(f"'kind' in {metadata.path} must be 'pictures', 'clips', 'tokens' or 'latents', got {kind!r}")


def _split(
    file: TensorFile, part: str, dtype: type[np.number], rank: int, *, limit: int | None = None, classes: int
) -> Split:
    """Return one split, with examples of `dtype` and `rank`, and labels below `classes`.

    Examples are whole numbers below `limit`, or finite floating-point numbers if there is no limit.
    """
    name = f"{part}_examples"
    examples = file.floats(name, rank) if limit is None else file.integers(name, rank)
    labels = file.integers(f"{part}_labels", rank=1)
    if examples.dtype != dtype or labels.dtype != np.int64:
        raise DatasetError(
            f"the {part} split in {file.path} must have {np.dtype(dtype)} examples and int64 labels, "
            f"got {examples.dtype} and {labels.dtype}"
        )
    if len(examples) != len(labels) or not examples.size:
        raise DatasetError(
            f"the {part} split in {file.path} must have one example for each label, "
            f"got examples of shape {list(examples.shape)} and {len(labels)} labels"
        )
    if limit is None:
        file.finite_floats(name, rank)
    else:
        file.check_range(name, limit)
    file.check_range(f"{part}_labels", classes)
    return Split(examples, labels.astype(np.int64, copy=False))


def _write_through(path: Path, content: bytes) -> None:
    """Write a file and wait until the disk has it, so that a later rename cannot publish an empty one."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
