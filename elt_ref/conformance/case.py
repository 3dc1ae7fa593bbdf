"""A stored case: one question to an implementation, with all randomness as input arrays, and its answer.

It stands under ``specs/vectors/CLAUSE/``: ``SLUG.json``, ``SLUG.inputs.safetensors`` and, in a file of its own so that
an export can leave it out, ``SLUG.answers.safetensors``.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors.numpy import load

from elt_ref.conformance.layouts import lay_out
from elt_ref.conformance.operations import TREES
from elt_ref.conformance.strict import Strict
from elt_ref.errors import RequestError
from elt_ref.run.specs import specs_folder


class Output(Strict):
    """Shape and dtype of one array of an answer."""

    shape: list[int]
    dtype: Literal["float64", "int64", "bool"]
    """Dtype; floats are compared within the tolerance of the case, others exactly."""


class Stored(Strict):
    """The JSON file of a vector."""

    format: Literal[1]
    clause: str
    slug: str
    operation: str
    why: str
    choice: list[str] | None
    settings: dict[str, Any]
    outputs: dict[str, Output]
    tolerance: dict[str, float]
    """Largest accepted error by dtype; a dtype that cannot tell right from wrong here is absent."""
    noise: dict[str, float]
    """Largest error due to rounding, by dtype: at most a sixteenth of the tolerance."""
    agreement: float | None
    """Error between the two oracles, in float64; None for a fresh question that only the reference answers."""


@dataclass(frozen=True)
class Vector:
    """A stored case."""

    stored: Stored
    inputs: Mapping[str, np.ndarray]
    answers: Mapping[str, np.ndarray] | None = None
    """None if they were not read."""
    layout: str = "C"
    """Memory layout in which a backend gets the arrays."""

    @property
    def id(self) -> str:
        """CLAUSE/SLUG."""
        return f"{self.stored.clause}/{self.stored.slug}"

    @property
    def has_floats(self) -> bool:
        """Whether a floating-point array is among the inputs: only then the answer must have the dtype under test."""
        return any(np.issubdtype(array.dtype, np.floating) for array in self.inputs.values())

    def arguments(self, dtype: str) -> dict[str, Any]:
        """Return the keyword arguments of the operation, with floats in `dtype`."""
        keywords = arguments(self.stored.settings, self.inputs, dtype)
        if self.layout != "C":
            lay_out(keywords, dict.fromkeys(self.inputs, self.layout))
        return keywords


def vectors_folder() -> Path:
    """Return the folder of the vectors."""
    return specs_folder() / "vectors"


def arguments(settings: Mapping[str, Any], inputs: Mapping[str, np.ndarray], dtype: str) -> dict[str, Any]:
    """Return the keyword arguments of an operation: floats in `dtype`, trees as dicts, fresh copies of the arrays."""
    result: dict[str, Any] = json.loads(json.dumps(dict(settings)))
    for name, array in inputs.items():
        value = array.astype(dtype) if np.issubdtype(array.dtype, np.floating) else array.copy()
        tree, dot, leaf = name.partition(".")
        if dot and tree in TREES:
            result.setdefault(tree, {})[leaf] = value
        else:
            result[name] = value
    return result


SUMS = "SHA256SUMS"
"""File beside the clauses' folders with the hash of every file, in the format of ``sha256sum -c``."""


def read_vectors(folder: Path | None = None, *, answers: bool = True) -> list[Vector]:
    """Read every vector, in the order of ids.

    Raises:
        RequestError: a file is missing, unexpected, damaged, or not the published one.
    """
    folder = vectors_folder() if folder is None else folder
    published = _read_sums(folder / SUMS)
    questions = sorted(name for name in published if name.endswith(".json"))
    present = {path.relative_to(folder).as_posix() for path in folder.glob("*/*")}
    if strangers := sorted(present - set(published)):
        raise RequestError(f"vector {folder / strangers[0]}: expected a published file, got another")
    return [_read_vector(folder, name.removesuffix(".json"), published, answers=answers) for name in questions]


def _read_vector(folder: Path, name: str, published: Mapping[str, str], *, answers: bool) -> Vector:
    stored = Stored.model_validate_json(_published(folder, f"{name}.json", published))
    parts = {
        part: load(_published(folder, f"{name}.{part}.safetensors", published))
        for part in (("inputs", "answers") if answers else ("inputs",))
    }
    return Vector(stored, parts["inputs"], parts.get("answers"))


def _published(folder: Path, name: str, published: Mapping[str, str]) -> bytes:
    """Return the published content of a file of the vectors."""
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise RequestError(f"vector {folder / name}: expected a file, got {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != published.get(name):
        raise RequestError(f"vector {folder / name}: expected the published bytes, got others")
    return content


def _read_sums(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"vectors {path}: expected the hashes of all vectors, got {error}") from error
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
