"""A case: one question to an implementation, with everything random in it given as numbers.

`Case` is a question as it is written down in `elt_ref.conformance.cases`. The generator answers it twice and stores
it under ``specs/vectors/CLAUSE/``: ``SLUG.json``, ``SLUG.inputs.safetensors`` and, apart so that it can stay at home,
``SLUG.answers.safetensors``. `Vector` is such a stored case.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict
from safetensors.numpy import load

from elt_ref.errors import RequestError
from elt_ref.run.specs import specs_folder

TREES = ("parameters", "gradient", "first", "second", "average")
"""Arguments that are dicts of arrays: their tensors are called ``TREE.NAME``."""


@dataclass(frozen=True)
class Case:
    """A question, before it is answered. Floats are float64 here and are rounded to the dtype under test."""

    clause: str
    slug: str
    """Words with hyphens, different from those of the clause's other cases."""
    operation: str
    why: str
    """What mistake it would catch."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Arguments that JSON can hold."""
    inputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Arguments that are arrays; those of a tree as ``parameters.NAME``."""
    choice: tuple[str, str] | None = None
    """The declared choice under which this is the question, if it depends on one."""

    @property
    def id(self) -> str:
        """CLAUSE/SLUG."""
        return f"{self.clause}/{self.slug}"


class Output(BaseModel):
    """What is known of one array of an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    shape: list[int]
    dtype: Literal["float64", "int64", "bool"]
    """Floats are compared within the tolerance of the case, the others exactly."""


class Stored(BaseModel):
    """The JSON file of a vector."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal[1]
    clause: str
    slug: str
    operation: str
    why: str
    choice: list[str] | None
    settings: dict[str, Any]
    outputs: dict[str, Output]
    tolerance: dict[str, float]
    """Largest error by dtype; a dtype that cannot tell right from wrong here is absent."""
    noise: dict[str, float]
    """Largest error that rounding alone made, by dtype: at most a quarter of the tolerance."""
    agreement: float
    """Error between the two oracles, in float64."""
    sha256: dict[str, str]
    """Of ``inputs`` and ``answers``."""


@dataclass(frozen=True)
class Vector:
    """A stored case."""

    stored: Stored
    inputs: Mapping[str, np.ndarray]
    answers: Mapping[str, np.ndarray] | None
    """None where they were left at home."""

    @property
    def id(self) -> str:
        """CLAUSE/SLUG."""
        return f"{self.stored.clause}/{self.stored.slug}"


def vectors_folder() -> Path:
    """Return the folder of the vectors."""
    return specs_folder() / "vectors"


def arguments(settings: Mapping[str, Any], inputs: Mapping[str, np.ndarray], dtype: str) -> dict[str, Any]:
    """Return the keyword arguments of an operation: floats in `dtype`, trees gathered, arrays of the caller's own."""
    result: dict[str, Any] = json.loads(json.dumps(dict(settings)))
    for name, array in inputs.items():
        value = array.astype(dtype) if np.issubdtype(array.dtype, np.floating) else array.copy()
        tree, dot, leaf = name.partition(".")
        if dot and tree in TREES:
            result.setdefault(tree, {})[leaf] = value
        else:
            result[name] = value
    return result


def read_vector(path: Path, *, answers: bool = True) -> Vector:
    """Read the vector whose JSON file is `path`.

    Raises:
        RequestError: a file is missing, damaged, or not the one whose hash is stored.
    """
    try:
        stored = Stored.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RequestError(f"vector {path}: expected a case, got {str(error).splitlines()[0]}") from error
    parts = {}
    for part in ("inputs", "answers") if answers else ("inputs",):
        file = path.with_name(f"{stored.slug}.{part}.safetensors")
        try:
            content = file.read_bytes()
        except OSError as error:
            raise RequestError(f"vector {file}: expected a file of tensors, got {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != stored.sha256[part]:
            raise RequestError(f"vector {file}: expected the bytes that were published, got others")
        parts[part] = load(content)
    return Vector(stored, parts["inputs"], parts.get("answers"))


def read_vectors(folder: Path | None = None, *, answers: bool = True) -> list[Vector]:
    """Read every vector, in order of their ids."""
    folder = vectors_folder() if folder is None else folder
    return [read_vector(path, answers=answers) for path in sorted(folder.glob("*/*.json"))]
