"""Checkpoints: one safetensors file with weights, optimizer, average, random streams and step. Never pickle.

Tensors are named ``parameters.…``, ``first_moment.…``, ``second_moment.…``, ``average.…``; the metadata hold one JSON
string (several metadata keys would be written in an order that changes from process to process). It holds the SHA-256
of the whole file with 64 zeros in its own place, so that any changed byte is found.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from elt_ref.arrays import DTYPES, Tree, tree_items, tree_rebuild
from elt_ref.config import Experiment
from elt_ref.errors import RequestError
from elt_ref.files import read_tensors, write_bytes
from elt_ref.idea import Idea
from elt_ref.model import declare_parameters
from elt_ref.objective import stream_names
from elt_ref.streams import stream_key
from elt_ref.training.optimizer import Moments
from elt_ref.training.step import TrainState

FORMAT = "elt_ref checkpoint 2"
WITHOUT_CHECKSUM = "elt_ref checkpoint 1"
"""The format of version 0.1.0, which the ports write: the same but for the checksum."""
UNSEALED = "0" * 64
"""Stands for the checksum while it is computed."""
_PARTS = ("parameters", "first_moment", "second_moment", "average")


def save_checkpoint(path: Path, state: TrainState, config: Experiment, idea: Idea | None = None) -> None:
    """Write the checkpoint atomically; the same state gives the same bytes. It names the idea that trained it.

    Raises:
        RequestError: the folder cannot be written to.
    """
    trees = dict(zip(_PARTS, (state.parameters, *state.moments, state.average), strict=True))
    tensors = {name: np.ascontiguousarray(leaf) for name, leaf in tree_items(trees)}
    metadata = {"format": FORMAT, "step": state.step, "seed": config.seed, "streams": _streams(config)}
    if idea is not None:
        metadata["idea"] = idea.digest
    text = json.dumps({**metadata, "sha256": UNSEALED}, sort_keys=True)
    write_bytes(path, seal(save(tensors, metadata={"elt_ref": text})))


def seal(content: bytes) -> bytes:
    """Return the file with its checksum where `UNSEALED` first stands: in the header, which comes first."""
    return content.replace(UNSEALED.encode(), hashlib.sha256(content).hexdigest().encode(), 1)


def _streams(config: Experiment) -> dict[str, Any]:
    keys = {name: [int(word) for word in stream_key(config.seed, name)] for name in stream_names(config)}
    return {name: {"generator": "Philox", "key": key, "counter": "[0, 0, 0, step]"} for name, key in keys.items()}


def load_checkpoint(path: Path, config: Experiment, idea: Idea | None = None) -> TrainState:
    """Read a checkpoint of a run with this configuration and idea.

    Raises:
        RequestError: not there, truncated, changed by a byte, foreign, or of another network, dtype, seed or idea.
    """
    tensors, metadata = _read(path)
    if metadata.get("seed") != config.seed:
        raise RequestError(f"checkpoint {path}: expected seed {config.seed}, got {metadata.get('seed')}")
    if metadata.get("streams") != _streams(config):
        raise RequestError(
            f"checkpoint {path}: expected the random streams of the {config.model.family} family, got others"
        )
    if metadata.get("idea") != (idea.digest if idea is not None else None):
        raise RequestError(
            f"checkpoint {path}: expected one that was trained with {_idea(idea and idea.digest)}, "
            f"got one with {_idea(metadata.get('idea'))}"
        )
    declared = declare_parameters(config, idea)
    dtype = DTYPES[config.training.dtype]

    def tree(part: str) -> Tree:
        leaves = []
        for name, parameter in tree_items(declared):
            tensor = tensors.pop(f"{part}.{name}", None)
            expected = f"{config.training.dtype} {list(parameter.shape)}"
            if tensor is None:
                raise RequestError(f"checkpoint {path}: expected a tensor '{part}.{name}' of {expected}, got none")
            if tensor.shape != parameter.shape or tensor.dtype != dtype:
                got = f"{tensor.dtype} {list(tensor.shape)}"
                raise RequestError(f"checkpoint {path}: expected '{part}.{name}' to be {expected}, got {got}")
            leaves.append(tensor)
        return tree_rebuild(declared, leaves)

    parameters, first, second, average = map(tree, _PARTS)
    if tensors:
        raise RequestError(f"checkpoint {path}: expected no tensor '{min(tensors)}' in this network, got one")
    return TrainState(metadata["step"], parameters, Moments(first, second), average)


def _idea(digest: str | None) -> str:
    return "no idea" if digest is None else f"the idea of SHA-256 {str(digest)[:12]}…"


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    tensors, texts = read_tensors(path, "checkpoint")
    try:
        metadata = json.loads(texts.get("elt_ref", "{}"))
    except (ValueError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict) or metadata.get("format") not in (FORMAT, WITHOUT_CHECKSUM):
        got = metadata.get("format", "another program's file") if isinstance(metadata, dict) else "damaged metadata"
        raise RequestError(f"checkpoint {path}: expected the format '{FORMAT}', got {got}")
    if metadata["format"] == FORMAT or "sha256" in metadata:  # also where the changed byte is that of the format
        _check_seal(path, metadata.get("sha256"))
    if not isinstance(step := metadata.get("step"), int) or step < 0:
        raise RequestError(f"checkpoint {path}: expected a number of steps, got {step!r}")
    return tensors, metadata


def _check_seal(path: Path, recorded: Any) -> None:
    content = path.read_bytes()
    known = isinstance(recorded, str) and len(recorded) == len(UNSEALED)
    if not known or seal(content.replace(recorded.encode(), UNSEALED.encode(), 1)) != content:
        raise RequestError(f"checkpoint {path}: expected the checksum of its header, got another: a byte has changed")
