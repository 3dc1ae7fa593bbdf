"""A check of the harness itself, before any clause: form, dtypes, finiteness, repetition, no side effects."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from elt_ref.conformance.backend import Unsupported
from elt_ref.conformance.case import Vector
from elt_ref.conformance.compare import mismatch
from elt_ref.conformance.description import checked
from elt_ref.conformance.failures import first_line, sentence
from elt_ref.conformance.judge import TAP_OF, Door, fits, tapped
from elt_ref.literal import visible


class Smoke(NamedTuple):
    """Result of one operation."""

    operation: str
    fault: str
    """Fault of the harness; empty if there is none."""


def smoke(door: Door, vectors: Sequence[Vector]) -> list[Smoke]:
    """Put one vector of every form of every declared operation twice; check the form of the answers, not their numbers.

    Raises:
        RequestError: the description is wrong.
    """
    description = checked(door.describe())
    questions: dict[str, dict[Any, Vector]] = defaultdict(dict)
    taps = {TAP_OF.get(vector.stored.operation): vector for vector in reversed(vectors)}
    for vector in (*vectors, *(tapped(vector) for tap, vector in taps.items() if tap)):
        if fits(vector.stored, description):
            questions[vector.stored.operation].setdefault(_form(vector), vector)
    names = [name for name in description.operations if name in questions]
    return [Smoke(name, _try_all(door, list(questions[name].values()), description.dtypes)) for name in names]


def _form(vector: Vector) -> Any:
    """Return what two questions of one operation share if a harness treats them alike: all but their numbers."""
    axes = [(name, array.ndim) for name, array in vector.inputs.items() if "." not in name]
    return _kinds(vector.stored.settings), tuple(sorted(axes))


def _kinds(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple((name, _kinds(each)) for name, each in sorted(value.items()))
    if isinstance(value, list):
        return len(value)
    return value if value is None or isinstance(value, str | bool) else type(value).__name__


def _try_all(door: Door, vectors: Sequence[Vector], dtypes: Sequence[str]) -> str:
    for vector in vectors:
        for dtype in dtypes:
            if fault := _try(door, vector, dtype):
                return f"{vector.id}, {dtype}: {fault}"
    return ""


def _try(door: Door, vector: Vector, dtype: str) -> str:
    answers = []
    for _ in range(2):
        try:
            answer = door.call(vector, dtype, vector.arguments(dtype))
            answers.append({name: np.asarray(value) for name, value in answer.items()})
        except Unsupported as refusal:
            return f"declared, but answered 'unsupported' ({first_line(refusal)})"
        except Exception as error:  # noqa: BLE001  whatever a backend does is its own error
            return sentence(error)
    if (fault := mismatch(answers[0], vector.answers or {}, dtype if vector.has_floats else None)) is not None:
        return visible(fault)
    if any(not np.array_equal(answers[0][name], answers[1][name]) for name in answers[0]):
        return "expected the same question to get the same answer, got two"
    return ""
