"""Describing and importing data sets."""

from pathlib import Path

import numpy as np

import tiny_datasets
from elt_ref.errors import RequestError, nearest
from elt_ref.report.samples import draw_grid
from elt_ref.run.prepare import dataset_codec

KINDS = ("pictures", "tokens", "latents")


def describe(name: str) -> str:
    """Return what is known of a data set, and the configuration lines that train on it.

    Raises:
        DatasetError: it cannot be loaded.
    """
    dataset = tiny_datasets.load(name)
    shape = "×".join(str(side) for side in dataset.train.examples.shape[1:])
    per_class = np.bincount(dataset.train.labels, minlength=len(dataset.classes))
    lines = {
        "name": dataset.name,
        "kind": f"{dataset.kind}, {shape}",
        "examples": f"{len(dataset.train)} to train on ({per_class.min()} to {per_class.max()} a class), "
        f"{len(dataset.test)} held out",
        "classes": f"{len(dataset.classes)}: {', '.join(dataset.classes)}",
        "description": dataset.description,
        "licence": dataset.licence,
        "source": dataset.source,
    }
    return "\n".join(f"{key:<12} {value}" for key, value in lines.items())


def draw_dataset(name: str, path: Path, most: int = 100) -> None:
    """Draw the first pictures of a data set, classes in turn.

    Raises:
        RequestError: it holds latents, or tokens without a codebook, or `path` cannot be written.
        DatasetError: it cannot be loaded.
    """
    dataset = tiny_datasets.load(name)
    order = np.argsort(_turn(dataset.train.labels), kind="stable")[:most]
    examples = dataset.train.examples[order]
    if isinstance(dataset, tiny_datasets.PictureDataset):
        pictures = tiny_datasets.scaled(examples, dataset.white)
    elif (codec := dataset_codec(dataset)) is not None:
        pictures = np.clip(codec.decode(examples), 0, 1)
    else:
        raise RequestError(
            f"{name}: expected pictures, or tokens with a codebook to draw them, got {dataset.kind} alone"
        )
    draw_grid(path, pictures, columns=min(len(dataset.classes), 20))


def _turn(labels: np.ndarray) -> np.ndarray:
    """Return for each example a key that sorts the classes in turn (0, 1, 2, then 0, 1, 2 again)."""
    seen = np.zeros(labels.max() + 1, np.int64)
    keys = np.empty(len(labels), np.int64)
    for index, label in enumerate(labels):
        keys[index] = seen[label] * len(seen) + label
        seen[label] += 1
    return keys


def import_data(
    kind: str,
    path: Path,
    name: str,
    *,
    height: int,
    width: int,
    colour: bool,
    test_fraction: float,
    scale: float | None = None,
) -> tiny_datasets.Dataset:
    """Import a folder of pictures, or a file of tokens or latents, under `name`.

    Raises:
        RequestError: another kind.
        DatasetError: the importer refuses; nothing is left behind.
    """
    if kind == "pictures":
        return tiny_datasets.import_pictures(
            path, name, height=height, width=width, colour=colour, test_fraction=test_fraction
        )
    if kind == "tokens":
        return tiny_datasets.import_tokens(path, name, test_fraction=test_fraction)
    if kind == "latents":
        return tiny_datasets.import_latents(path, name, scale=scale, test_fraction=test_fraction)
    raise RequestError(f"data import: expected one of {', '.join(KINDS)}, got '{kind}'{nearest(kind, KINDS)}")
