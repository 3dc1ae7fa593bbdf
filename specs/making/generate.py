"""Answer every case twice and store it: ``python -m specs.making.generate``.

The reference answers in extended precision (``numpy.longdouble``), scalar Python in float64; they must agree. Then
the tolerance is measured for each dtype: ROOM times the largest error from rounding the inputs, rounding intermediate
results and disturbing the last bit of the inputs, or between the two oracles. A dtype is left out of a clause if some
wrong implementation is less than APART tolerances away in all of the clause's cases: it cannot tell right from wrong.
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
from elt_ref.conformance.case import SUMS, Output, Stored, arguments, vectors_folder
from elt_ref.conformance.clauses import clauses
from elt_ref.conformance.compare import difference, mismatch
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.files import write_bytes, write_text
from elt_ref.streams import stream
from specs.making.case import Case, sums
from specs.making.cases import cases
from specs.making.scalar import ScalarBackend
from specs.making.wrong import wrong_implementations

ROOM, APART = 16.0, 4.0
LEAST = 64.0
"""Smallest tolerance, in units of the dtype's rounding."""
AGREEMENT = 1e-11
"""Largest error between the two oracles."""
DISTURBANCES = 5

Answers = Mapping[str, np.ndarray]


def with_choice(backend: Any, case: Case) -> Any:
    """Return a backend that follows the choice of a case."""
    if case.choice is not None:
        name, alternative = case.choice
        backend.choices = {**backend.choices, name: alternative}
    return backend


def ask(backend: Any, case: Case, dtype: str, disturbance: int = 0) -> dict[str, np.ndarray]:
    """Return a backend's answer to a case, with floats rounded to `dtype`, and disturbed in the last bit on request."""
    keywords = arguments(case.settings, rounded(case, dtype, disturbance), dtype)
    return {name: np.asarray(value) for name, value in getattr(backend, case.operation)(**keywords).items()}


def rounded(case: Case, dtype: str, disturbance: int) -> dict[str, np.ndarray]:
    """Return the inputs, with floats rounded to float32 so that every dtype has the same question, then disturbed."""
    result = {}
    for name, array in case.inputs.items():
        value = array
        if np.issubdtype(array.dtype, np.floating):
            value = array.astype(np.float32).astype(np.float64)
            if disturbance:
                unit = np.finfo(dtype).eps / 2
                # First all up, then all down, then at random: a single number moves in every trial.
                signs = stream(disturbance, f"{case.id}/{name}").choice([-1.0, 1.0], size=value.shape)
                value = value * (1 + unit * {1: 1.0, 2: -1.0}.get(disturbance, signs))
        result[name] = value
    return result


def golden(case: Case) -> tuple[dict[str, np.ndarray], float]:
    """Return the reference's answer in extended precision, as float64, and the distance of scalar Python from it.

    Raises:
        ValueError: the two oracles disagree.
    """
    answer = {}
    for name, value in ask(with_choice(ReferenceBackend(), case), case, "longdouble").items():
        floating = np.issubdtype(value.dtype, np.floating)
        answer[name] = np.array(value, np.float64 if floating else value.dtype, order="C")
    second = ask(with_choice(ScalarBackend(), case), case, "float64")
    if (fault := mismatch(second, answer, None)) is not None:
        raise ValueError(f"{case.id}: the oracles differ: {fault}")
    agreement, where = difference(case.operation, case.settings, second, answer)
    if agreement > AGREEMENT:
        raise ValueError(f"{case.id}: the oracles differ by {agreement:.1e} in '{where}'")
    return answer, agreement


def measure_noise(case: Case, answer: Answers, dtype: str) -> float:
    """Return the largest error due to rounding in this dtype; infinite if it changes a discrete answer."""
    backend = with_choice(ReferenceBackend(), case)
    trials = [ask(backend, case, dtype, disturbance) for disturbance in range(DISTURBANCES + 1)]
    return max(difference(case.operation, case.settings, trial, answer)[0] for trial in trials)


def distance(case: Case, answer: Answers, wrong: str, dtype: str) -> float:
    """Return the error of a wrong implementation; 0 if its answer is malformed or it raises."""
    try:
        mistaken = ask(with_choice(wrong_implementations()[wrong](), case), case, dtype)
    except Exception:  # noqa: BLE001  whatever it raises, it was not caught by its numbers
        return 0.0
    if mismatch(mistaken, answer, None) is not None:
        return 0.0
    return difference(case.operation, case.settings, mistaken, answer)[0]


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
    """Return the wrong implementations of a clause that none of its cases refuses in this dtype."""
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
        ValueError: the oracles differ, rounding changes a discrete answer, or no case refuses a wrong implementation.
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
            raise ValueError(f"{clause}: no case refuses {', '.join(missed)} in float64")
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
