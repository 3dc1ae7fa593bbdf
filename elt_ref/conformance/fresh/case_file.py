"""A failing question as a file of numbers: readable, checked by hand, and asked again with ``--case FILE``."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from elt_ref.conformance.case import Vector
from elt_ref.conformance.clauses import clause
from elt_ref.conformance.failures import misread
from elt_ref.conformance.fresh.answer import PRECISION, answered
from elt_ref.conformance.fresh.drawer import Drawn
from elt_ref.conformance.fresh.subjects import QUESTIONS
from elt_ref.conformance.operations import TABLE
from elt_ref.conformance.strict import Strict
from elt_ref.errors import RequestError, nearest
from elt_ref.files import make_folder, write_text
from elt_ref.text_files import read_text

LARGEST = 1e38
"""Largest value of a question: float32 holds it."""
FEW = 48
"""Most numbers of an array that are printed."""


class Array(Strict):
    """One array of a question."""

    dtype: Literal["float64", "int64", "bool"]
    shape: list[Annotated[int, Field(gt=0)]]
    values: list[float | int | bool]
    """Values in C order."""

    @model_validator(mode="after")
    def _are_of_the_dtype(self) -> "Array":
        allowed = {"float64": (float, int), "int64": (int,), "bool": (bool,)}[self.dtype]
        for value in self.values:
            if type(value) not in allowed or not abs(value) <= LARGEST:
                raise ValueError(f"expected values of dtype {self.dtype} from -{LARGEST:g} to {LARGEST:g}, got {value}")
        if len(self.values) != math.prod(self.shape):
            raise ValueError(f"expected {math.prod(self.shape)} values for shape {self.shape}, got {len(self.values)}")
        return self


class CaseFile(Strict):
    """The file."""

    format: Literal[1] = 1
    clause: str
    operation: str
    settings: dict[str, Any]
    inputs: dict[str, Array]


def write_case(folder: Path, vector: Vector) -> Path:
    """Write a question as ``FOLDER/OPERATION.json`` and return the path.

    Raises:
        RequestError: the file cannot be written.
    """
    stored = vector.stored
    inputs = {
        name: Array(dtype=array.dtype.name, shape=list(array.shape), values=array.ravel().tolist())  # pyright: ignore[reportArgumentType]  checked by pydantic
        for name, array in vector.inputs.items()
    }
    case = CaseFile(clause=stored.clause, operation=stored.operation, settings=stored.settings, inputs=inputs)
    make_folder(folder)
    path = folder / f"{stored.operation}.json"
    write_text(path, case.model_dump_json(indent=1) + "\n")
    return path


def read_case(path: Path, choices: Mapping[str, str]) -> Vector:
    """Return the question of a file, answered.

    Args:
        path: a file that `write_case` wrote, or one by hand.
        choices: alternatives that the backend declares.

    Raises:
        RequestError: the file is missing or wrong, or its question has no answer.
    """
    try:
        case = CaseFile.model_validate_json(read_text(path))
        inputs = {name: np.array(a.values, a.dtype).reshape(a.shape) for name, a in case.inputs.items()}
    except ValidationError as error:
        raise RequestError(f"--case {path}: {misread(error, 'the file')}") from None
    except (OSError, ValueError, OverflowError) as error:
        raise RequestError(f"--case {path}: expected a file with a question, got {error}") from error
    clause(case.clause)
    if case.operation not in QUESTIONS:
        near = nearest(case.operation, QUESTIONS)
        raise RequestError(f"--case {path}: expected an operation such as masked_forward, got '{case.operation}'{near}")
    if wrong := misshapen(case.operation, inputs):
        raise RequestError(f"--case {path}: {wrong}")
    drawn = Drawn(case.settings, inputs)
    try:
        vector = answered(case.clause, path.stem, case.operation, drawn, choices.get(PRECISION))
    except (TypeError, ValueError, KeyError) as error:
        raise RequestError(f"--case {path}: expected a question that the reference answers, got {error}") from error
    if vector is None:
        raise RequestError(f"--case {path}: expected a question whose answer survives rounding, got a tie")
    return vector


def misshapen(operation: str, inputs: Mapping[str, np.ndarray]) -> str | None:
    """Return what is wrong with the shapes of a question's arrays, by the table of operations; None if they fit."""
    sizes: dict[str, tuple[int, str]] = {}
    for name, kind in TABLE[operation].arguments.items():
        found = re.fullmatch(r"(?:real|int|bool) \[(.*)\]", kind)
        if found is None or name not in inputs:
            continue
        axes, shape = re.findall(r"[^, ]+", found[1]), inputs[name].shape
        if len(axes) != len(shape):
            return f"{name}: expected shape [{', '.join(axes)}], got {list(shape)}"
        for axis, size in zip(axes, shape, strict=True):
            known, first = sizes.setdefault(axis, (size, name))
            if known != size:
                where = f"[{', '.join(axes)}] with {axis} = {known} as in {first}"
                return f"{name}: expected shape {where}, got {list(shape)}"
    return None


def numbers(vector: Vector) -> list[str]:
    """Return a question in lines: its settings, and every array that is small enough to read."""
    stored = vector.stored
    lines = [f"{stored.operation}, the smallest question that fails:", f"  settings {json.dumps(stored.settings)}"]
    right = {f"right {name}": array for name, array in (vector.answers or {}).items()}
    for name, array in (*vector.inputs.items(), *right.items()):
        text = json.dumps(array.tolist()) if array.size <= FEW else f"{array.size} numbers, shape {list(array.shape)}"
        lines.append(f"  {name} {text}")
    return lines
