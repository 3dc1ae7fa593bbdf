"""Describing and importing data sets."""

from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np

import tiny_datasets
from elt_ref.errors import RequestError, nearest
from elt_ref.files import check_file
from elt_ref.literal import visible
from elt_ref.report.clips import draw_contact_sheet
from elt_ref.report.samples import draw_grid
from elt_ref.run.prepare import dataset_codec

KINDS: dict[str, Callable[..., tiny_datasets.Dataset]] = {
    "pictures": tiny_datasets.import_pictures,
    "clips": tiny_datasets.import_clips,
    "idx": tiny_datasets.import_idx,
    "cifar": tiny_datasets.import_cifar,
    "npz": tiny_datasets.import_npz,
    "tokens": tiny_datasets.import_tokens,
    "latents": tiny_datasets.import_latents,
}
"""Importers by kind of data."""

MOST_PICTURES, MOST_CLIPS = 100, 20
"""Number of examples to draw."""


def describe(name: str) -> str:
    """Return a description of a data set, and the configuration lines that train on it.

    Raises:
        DatasetError: the data set cannot be loaded.
    """
    dataset = tiny_datasets.load(name)
    per_class = np.bincount(dataset.train.labels, minlength=len(dataset.classes))
    lines = {
        "name": dataset.name,
        "kind": f"{dataset.kind}, {_shape(dataset)}",
        "examples": f"{len(dataset.train)} to train on ({per_class.min()} to {per_class.max()} a class), "
        f"{len(dataset.test)} held out",
        "classes": f"{len(dataset.classes)}: {', '.join(dataset.classes)}",
        **_motions(dataset),
        "description": dataset.description,
        "licence": dataset.licence,
        "source": dataset.source,
        **({"remarks": " ".join(dataset.remarks)} if dataset.remarks else {}),
    }
    return "\n".join(f"{key:<12} {visible(value)}" for key, value in lines.items())


def _shape(dataset: tiny_datasets.Dataset) -> str:
    """Return the sides of one example; the frames of clips are in words."""
    sides = dataset.train.examples.shape[1:]
    moves = isinstance(dataset, tiny_datasets.ClipDataset) or (
        isinstance(dataset, tiny_datasets.TokenDataset) and len(sides) == 3
    )
    shape = "×".join(str(side) for side in sides[moves:])
    return f"{sides[0]} frames of {shape}" if moves else shape


def _motions(dataset: tiny_datasets.Dataset) -> dict[str, str]:
    """Return the line that names the motions of clips, if they are known."""
    if not isinstance(dataset, tiny_datasets.ClipDataset) or dataset.motions is None:
        return {}
    return {"motions": f"{len(dataset.motions.names)}: {', '.join(dataset.motions.names)}"}


def check_picture_name(path: Path) -> None:
    """Raise RequestError unless a name ends in .png: a sheet has no other format."""
    if path.suffix.lower() != ".png":
        raise RequestError(f"--out: expected a name ending in .png, got '{path}'")


def draw_dataset(name: str, path: Path) -> None:
    """Draw the first training examples of a data set, classes in turn: pictures in a grid, each clip in a row.

    Raises:
        RequestError: the data set holds latents, or tokens without a codebook, or `path` cannot be written.
        DatasetError: the data set cannot be loaded.
    """
    check_file(path)
    dataset = tiny_datasets.load(name)
    order = np.argsort(_turn(dataset.train.labels), kind="stable")[:MOST_PICTURES]
    examples = dataset.train.examples[order]
    if isinstance(dataset, tiny_datasets.PictureDataset | tiny_datasets.ClipDataset):
        drawn = tiny_datasets.scaled(examples, dataset.white)
    elif (codec := dataset_codec(dataset)) is not None:
        drawn = np.clip(codec.decode(examples), 0, 1)
    else:
        raise RequestError(
            f"{name}: expected pictures, clips, or tokens with a codebook to draw them, got {dataset.kind} alone"
        )
    if drawn.ndim == 5:
        draw_contact_sheet(path, drawn[:MOST_CLIPS])
    else:
        draw_grid(path, drawn, columns=min(len(dataset.classes), 20))


def _turn(labels: np.ndarray) -> np.ndarray:
    """Return a sort key per example that puts the classes in turn (0, 1, 2, then 0, 1, 2 again)."""
    seen = np.zeros(labels.max() + 1, np.int64)
    keys = np.empty(len(labels), np.int64)
    for index, label in enumerate(labels):
        keys[index] = seen[label] * len(seen) + label
        seen[label] += 1
    return keys


def import_data(kind: str, path: Path, name: str, **options: Any) -> tiny_datasets.Dataset:
    """Import a user's own data under `name`.

    Args:
        kind: one of `KINDS`.
        path: a file or a folder, as the importer of that kind expects.
        name: name of the new data set.
        options: options of the importer, by name; None leaves the default.

    Raises:
        RequestError: an unknown kind, or an option that this kind does not have.
        DatasetError: the importer refuses the data; nothing is left behind.
    """
    if kind not in KINDS:
        raise RequestError(f"data import: expected one of {', '.join(KINDS)}, got '{kind}'{nearest(kind, KINDS)}")
    known = {each: signature(importer).parameters for each, importer in KINDS.items()}
    given = {option: value for option, value in options.items() if value is not None}
    for option in given:
        if option not in known[kind]:
            kinds = ", ".join(each for each, parameters in known.items() if option in parameters)
            raise RequestError(f"--{option.replace('_', '-')}: expected only with {kinds}, got it with {kind}")
    return KINDS[kind](path, name, **given)
