"""A check of the harness itself, before any clause: form, dtypes, finiteness, repetition, no side effects."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from elt_ref.conformance.backend import Unsupported
from elt_ref.conformance.case import Vector, arguments
from elt_ref.conformance.compare import mismatch
from elt_ref.conformance.description import checked
from elt_ref.conformance.failures import first_line, sentence, visible
from elt_ref.conformance.judge import Door


class Smoke(NamedTuple):
    """Result of one operation."""

    operation: str
    fault: str
    """Fault of the harness; empty if there is none."""


def smoke(door: Door, vectors: Sequence[Vector]) -> list[Smoke]:
    """Put one vector of every declared operation twice, and check the form of the answers, not their numbers.

    Raises:
        RequestError: the description is wrong.
    """
    description = checked(door.describe())
    first = {}
    for vector in vectors:
        choice = vector.stored.choice
        if choice is None or description.choices.get(choice[0]) == choice[1]:
            first.setdefault(vector.stored.operation, vector)
    names = [name for name in description.operations if name in first]
    return [Smoke(name, _try_all(door, first[name], description.dtypes)) for name in names]


def _try_all(door: Door, vector: Vector, dtypes: Sequence[str]) -> str:
    for dtype in dtypes:
        if fault := _try(door, vector, dtype):
            return f"{dtype}: {fault}"
    return ""


def _try(door: Door, vector: Vector, dtype: str) -> str:
    answers = []
    for _ in range(2):
        keywords = arguments(vector.stored.settings, vector.inputs, dtype)
        try:
            answers.append({name: np.asarray(value) for name, value in door.call(vector, dtype, keywords).items()})
        except Unsupported as refusal:
            return f"declared, but answered 'unsupported' ({first_line(refusal)})"
        except Exception as error:  # noqa: BLE001  whatever a backend does is its own error
            return sentence(error)
    floats = any(np.issubdtype(array.dtype, np.floating) for array in vector.inputs.values())
    if (fault := mismatch(answers[0], vector.answers or {}, dtype if floats else None)) is not None:
        return visible(fault)
    if any(not np.array_equal(answers[0][name], answers[1][name]) for name in answers[0]):
        return "expected the same question to get the same answer, got two"
    return ""
