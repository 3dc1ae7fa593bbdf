"""A run as the page holds it: settings, class names, held-out examples and weights, in one JSON object."""

import base64
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped

import tiny_datasets
from elt_ref.arrays import Tree, tree_items
from elt_ref.config import MaskedExperiment
from elt_ref.errors import RequestError
from elt_ref.run.folder import Run
from elt_ref.run.prepare import load_data
from elt_ref.run.record import read_record
from elt_ref.tokenizer import Pixels, VectorQuantiser

FAMILIES = ("masked", "diffusion")
"""The families that the JavaScript port has."""


def check_plain(folder: Path) -> None:
    """Raise RequestError if a run has an idea, before its code is run: the JavaScript port has the paper's network."""
    record = read_record(folder)
    if record is not None and record.idea is not None:
        raise RequestError(
            f"{folder}: expected a run without an idea, for the page has its network in JavaScript, "
            f"got one with the idea {record.idea['name']}"
        )


def run_document(name: str, folder: Path, run: Run) -> dict[str, Any]:
    """Return what the page needs of a run.

    Args:
        name: name of the run in the page.
        folder: its folder, for the sentence of an error.
        run: a trained network.

    Raises:
        RequestError: the port cannot run its family, or the run draws neither pictures nor clips.
    """
    config, codec = run.config, run.codec
    if config.model.family not in FAMILIES:
        raise RequestError(f"{folder}: expected a run of the masked or the diffusion family, got {config.model.family}")
    dataset = load_data(config)
    if not isinstance(codec, VectorQuantiser | Pixels):
        what = f"tokens of '{dataset.name}', which came without a codebook"
        if not isinstance(config, MaskedExperiment):
            what = f"latents of '{dataset.name}', which the page does not decode"
        raise RequestError(f"{folder}: expected a run whose samples are pictures or clips, got {what}")
    tensors = {"average": run.parameters}
    if isinstance(codec, VectorQuantiser):
        tensors["codec"] = {"codebook": codec.codebook}
    return {
        "name": name,
        "data": dataset.name,
        "kind": config.objective.kind,
        "seed": config.seed,
        "steps": run.step,
        "notice": run.notice,
        "classes": list(dataset.classes),
        "learned": np.unique(dataset.train.labels).tolist(),
        "model": {**config.model.model_dump(mode="json"), "grid": list(config.model.grid)},
        "sampling": config.sampling.model_dump(mode="json"),
        "diffusion": None if config.diffusion is None else config.diffusion.model_dump(mode="json"),
        "codec": {"patch_size": codec.patch_size, "patch_frames": codec.patch_frames}
        if isinstance(codec, VectorQuantiser)
        else None,
        "examples": held_out(dataset, codec) if isinstance(codec, VectorQuantiser) else None,
        "weights": packed(tensors),
    }


def held_out(dataset: tiny_datasets.Dataset, codec: VectorQuantiser) -> dict[int, list[int]]:
    """Return the tokens of the first held-out example of each class that has one."""
    labels, places = np.unique(dataset.test.labels, return_index=True)
    first = dict(zip(labels.tolist(), places.tolist(), strict=True))
    examples = dataset.test.examples[list(first.values())]
    if isinstance(dataset, tiny_datasets.PictureDataset | tiny_datasets.ClipDataset):
        examples = codec.encode(tiny_datasets.scaled(examples, dataset.white))
    tokens: Int[np.ndarray, "classes tokens"] = examples.reshape(len(first), -1)
    return {label: row.tolist() for label, row in zip(first, tokens, strict=True)}


def packed(tensors: Tree) -> dict[str, Any]:
    """Return tensors as names, dtypes, shapes and one text: the bytes by their place in a number, deflated, in base64.

    The first bytes of all numbers, then the second, and so on: signs and exponents are alike, and take less together.
    """
    described, planes = [], []
    for name, leaf in tree_items(tensors):
        described.append({"name": name, "dtype": str(leaf.dtype), "shape": list(leaf.shape)})
        planes.append(by_place(leaf))
    content = zlib.compress(b"".join(planes), 9)
    return {"tensors": described, "bytes": base64.b64encode(content).decode("ascii")}


def by_place(array: Shaped[np.ndarray, "*shape"]) -> bytes:
    """Return the bytes of an array in little-endian order, all first bytes of its numbers in front."""
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return little.view(np.uint8).reshape(-1, array.dtype.itemsize).T.tobytes()
