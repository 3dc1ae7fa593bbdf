"""Answer every case twice and store it: ``python -m elt_ref.conformance.generate``.

The reference answers in extended precision (``numpy.longdouble``), scalar Python in float64; they must agree. Then
the tolerance is measured, for each dtype: ROOM times the largest error that rounding the inputs, rounding on the way
and a last-bit disturbance of the inputs make, or that lies between the two oracles. A dtype in which some wrong
implementation of the clause is not at least APART tolerances away in any of the clause's cases is left out: it cannot
tell right from wrong there.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from elt_ref.conformance.backend import JUDGED_DTYPES
from elt_ref.conformance.case import SUMS, Case, Output, Stored, arguments, sums, vectors_folder
from elt_ref.conformance.cases import cases
from elt_ref.conformance.clauses import clauses
from elt_ref.conformance.compare import difference, mismatch
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.conformance.scalar import ScalarBackend
from elt_ref.conformance.wrong import wrong_implementations
from elt_ref.files import write_bytes, write_text
from elt_ref.streams import stream

ROOM, APART = 16.0, 4.0
LEAST = 64.0
"""Of a tolerance, in units of the dtype's rounding."""
AGREEMENT = 1e-11
"""Largest error between the two oracles."""
DISTURBANCES = 5

Answers = Mapping[str, np.ndarray]


def held(backend: Any, case: Case) -> Any:
    """Return a backend that holds itself to the choice that a case is about."""
    if case.choice is not None:
        name, alternative = case.choice
        backend.choices = {**backend.choices, name: alternative}
    return backend


def ask(backend: Any, case: Case, dtype: str, disturbance: int = 0) -> dict[str, np.ndarray]:
    """Return a backend's answer to a case, its floating inputs rounded to `dtype` and moved by a last bit if asked."""
    given = arguments(case.settings, rounded(case, dtype, disturbance), dtype)
    return {name: np.asarray(value) for name, value in getattr(backend, case.operation)(**given).items()}


def rounded(case: Case, dtype: str, disturbance: int) -> dict[str, np.ndarray]:
    """Return the inputs, floats rounded to float32 so that every dtype is asked the same question, then disturbed."""
    result = {}
    for name, array in case.inputs.items():
        value = array
        if np.issubdtype(array.dtype, np.floating):
            value = array.astype(np.float32).astype(np.float64)
            if disturbance:
                unit = np.finfo(dtype).eps / 2
                # All up, all down, then each its own way: a lone number moves in every trial.
                signs = stream(disturbance, f"{case.id}/{name}").choice([-1.0, 1.0], size=value.shape)
                value = value * (1 + unit * {1: 1.0, 2: -1.0}.get(disturbance, signs))
        result[name] = value
    return result


def golden(case: Case) -> tuple[dict[str, np.ndarray], float]:
    """Return the answer of the reference in extended precision, as float64, and how far scalar Python is from it.

    Raises:
        ValueError: the two disagree.
    """
    answer = {}
    for name, value in ask(held(ReferenceBackend(), case), case, "longdouble").items():
        floating = np.issubdtype(value.dtype, np.floating)
        answer[name] = np.array(value, np.float64 if floating else value.dtype, order="C")
    second = ask(held(ScalarBackend(), case), case, "float64")
    if (told := mismatch(second, answer, None)) is not None:
        raise ValueError(f"{case.id}: the oracles differ: {told}")
    agreement, where = difference(case.operation, case.settings, second, answer)
    if agreement > AGREEMENT:
        raise ValueError(f"{case.id}: the oracles differ by {agreement:.1e} in '{where}'")
    return answer, agreement


def measure_noise(case: Case, answer: Answers, dtype: str) -> float:
    """Return the largest error that rounding makes in this dtype; infinite where it changes a discrete answer."""
    trials = [ask(held(ReferenceBackend(), case), case, dtype, disturbance) for disturbance in range(DISTURBANCES + 1)]
    return max(difference(case.operation, case.settings, trial, answer)[0] for trial in trials)


def distance(case: Case, answer: Answers, wrong: str, dtype: str) -> float:
    """Return how far a wrong implementation is from the answer; 0 where it fails by its form or by raising."""
    try:
        found = ask(held(wrong_implementations()[wrong](), case), case, dtype)
    except Exception:  # noqa: BLE001  whatever it raises, it was not caught by its numbers
        return 0.0
    if mismatch(found, answer, None) is not None:
        return 0.0
    return difference(case.operation, case.settings, found, answer)[0]


def answered(case: Case) -> tuple[Case, dict[str, np.ndarray], float, dict[str, float], dict[str, float]]:
    """Return a case with its answer, the oracles' agreement, and noise and tolerance by dtype."""
    answer, agreement = golden(case)
    noise, tolerance = {}, {}
    for dtype in JUDGED_DTYPES:
        measured = max(measure_noise(case, answer, dtype), agreement)
        if not np.isfinite(measured):
            raise ValueError(f"{case.id}: rounding to {dtype} changes a discrete answer; choose another case")
        noise[dtype] = measured
        tolerance[dtype] = float(f"{max(ROOM * measured, LEAST * np.finfo(dtype).eps / 2):.2e}")
    return case, answer, agreement, noise, tolerance


def undecided(clause: str, group: Iterable[Any], dtype: str) -> list[str]:
    """Return the wrong implementations of a clause that none of its cases tells apart in this dtype."""
    return [
        wrong
        for wrong in clauses()[clause].wrong
        if not any(
            distance(case, answer, wrong, dtype) >= APART * tolerance[dtype] for case, answer, _, _, tolerance in group
        )
    ]


def generate(folder: Path, only: str = "") -> None:
    """Write the vectors of every clause whose id begins with `only`.

    Raises:
        ValueError: an oracle, a discrete answer or a wrong implementation does not behave; the message says which.
    """
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in cases().values():
        groups[case.clause].append(case)
    for clause in sorted(clauses()):
        if not clause.startswith(only):
            continue
        if len(groups[clause]) < 2:
            raise ValueError(f"{clause}: expected at least two cases, got {len(groups[clause])}")
        group = [answered(case) for case in groups[clause]]
        if missed := undecided(clause, group, "float64"):
            raise ValueError(f"{clause}: no case tells {', '.join(missed)} apart in float64")
        decided = [dtype for dtype in JUDGED_DTYPES if dtype == "float64" or not undecided(clause, group, dtype)]
        for case, answer, agreement, noise, tolerance in group:
            write(folder, case, answer, agreement, noise, {dtype: tolerance[dtype] for dtype in decided})
        print(f"{clause}: {len(group)} cases, {', '.join(decided)}", file=sys.stderr)  # noqa: T201
    write_text(folder / SUMS, sums(folder))


def write(
    folder: Path,
    case: Case,
    answer: Answers,
    agreement: float,
    noise: Mapping[str, float],
    tolerance: Mapping[str, float],
) -> None:
    """Store one vector."""
    place = folder / case.clause
    place.mkdir(parents=True, exist_ok=True)
    inputs = {name: np.array(array, order="C") for name, array in rounded(case, "float64", 0).items()}
    contents = {"inputs": save(inputs), "answers": save(dict(answer))}
    stored = Stored(
        format=1,
        clause=case.clause,
        slug=case.slug,
        operation=case.operation,
        why=case.why,
        choice=None if case.choice is None else list(case.choice),
        settings=json.loads(json.dumps(dict(case.settings))),
        outputs={
            name: Output(shape=list(value.shape), dtype=value.dtype.name)  # pyright: ignore[reportArgumentType]  checked by pydantic
            for name, value in answer.items()
        },
        tolerance=dict(tolerance),
        noise={dtype: float(f"{value:.2e}") for dtype, value in noise.items()},
        agreement=float(f"{agreement:.1e}"),
    )
    for part, content in contents.items():
        write_bytes(place / f"{case.slug}.{part}.safetensors", content)
    write_text(place / f"{case.slug}.json", stored.model_dump_json(indent=1) + "\n")


if __name__ == "__main__":
    generate(vectors_folder(), *sys.argv[1:])
