"""The judge: asks a backend every vector, in every dtype it declares, and says which clauses hold."""

import math
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np

from elt_ref.conformance.backend import FAMILIES, JUDGED_DTYPES, OPERATIONS, TAPS, Description, Unsupported
from elt_ref.conformance.case import Stored, Vector, arguments
from elt_ref.conformance.choices import CHOICES, declared_otherwise
from elt_ref.conformance.clauses import PROFILES, Clause, clauses
from elt_ref.conformance.compare import difference, mismatch
from elt_ref.conformance.exceptions import Exceptions, Known, Waiver
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.errors import RequestError, nearest

Status: TypeAlias = Literal["PASS", "FAIL", "ERROR", "UNSUPPORTED", "KNOWN", "NOT RUN", "WAIVED"]


@runtime_checkable
class Door(Protocol):
    """A way to an implementation."""

    def describe(self) -> Description:
        """Return what the backend says of itself."""
        ...

    def call(self, vector: Vector, dtype: str, given: dict[str, Any]) -> Mapping[str, np.ndarray]:
        """Return the answer to a vector.

        Raises:
            Unsupported: the backend says that it cannot.
            Exception: anything else that went wrong; its words are reported.
        """
        ...


@dataclass(frozen=True)
class Finding:
    """What came of one vector in one dtype."""

    vector: str
    dtype: str
    status: Status
    error: float | None
    """As a fraction of the tolerance; None where nothing could be compared."""
    message: str
    why: str
    """What mistake the vector would catch."""


@dataclass(frozen=True)
class Verdict:
    """What came of one clause."""

    clause: Clause
    status: Status
    findings: tuple[Finding, ...]
    message: str

    @property
    def worst(self) -> Finding | None:
        """The finding to look at: the first that did not pass, else the one nearest to its tolerance."""
        failed = [found for found in self.findings if found.status not in {"PASS", "NOT RUN"}]
        compared = [found for found in self.findings if found.error is not None]
        return failed[0] if failed else max(compared, key=lambda found: found.error or 0.0, default=None)


@dataclass(frozen=True)
class Report:
    """Everything that is said of a backend."""

    backend: Description
    verdicts: tuple[Verdict, ...]
    seconds: float
    complaints: tuple[str, ...] = ()
    """What is wrong with the file of known failures; any of them fails the run."""

    @property
    def failed(self) -> list["Verdict"]:
        """What failed or erred, in the order in which operations build on one another: the first explains the most."""
        wrong = [verdict for verdict in self.verdicts if verdict.status in {"FAIL", "ERROR"}]
        return sorted(wrong, key=lambda verdict: max(OPERATIONS.index(name) for name in verdict.clause.needs))

    @property
    def families(self) -> tuple[str, ...]:
        """The families of networks that the backend declares any operation of."""
        return tuple(family for family, own in FAMILIES.items() if set(own) & set(self.backend.operations))

    def asked(self, profile: str) -> list[Clause]:
        """Return the clauses that a profile asks of this backend.

        Those of a family that it does not have are left out, and those about an alternative other than the one that it
        declares; the award says so.
        """
        declared = self.backend.choices
        members = [clause for clause in clauses().values() if clause.profile == profile]
        if any(clause.family for clause in members) and not self.families:
            return []
        return [
            clause
            for clause in members
            if clause.level != "should"
            and (clause.family is None or clause.family in self.families)
            and all(declared.get(choice, value) == value for choice, value in clause.only.items())
        ]

    def awarded(self, profile: str) -> bool:
        """Tell whether every clause that a profile asks of this backend ran and passed."""
        statuses = {verdict.clause.id: verdict.status for verdict in self.verdicts}
        asked = self.asked(profile)
        return bool(asked) and all(statuses.get(clause.id) == "PASS" for clause in asked)

    @property
    def passed(self) -> bool:
        """Whether something was judged and nothing failed that is not known: what the exit code says."""
        statuses = {verdict.status for verdict in self.verdicts}
        return not self.complaints and bool(statuses & {"PASS", "WAIVED", "KNOWN"}) and not statuses & {"FAIL", "ERROR"}


def judge(
    door: Door,
    vectors: Sequence[Vector],
    *,
    only: str = "",
    exceptions: Exceptions | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Judge a backend.

    Args:
        door: the way to it.
        vectors: with their answers.
        only: beginnings of the ids of the clauses to judge, with commas between; all by default.
        exceptions: known failures and waivers.
        progress: told the id of each clause before it is judged.

    Raises:
        RequestError: the backend's description is wrong.
    """
    started = time.perf_counter()
    exceptions = exceptions or Exceptions()
    description = checked(door.describe())
    groups: dict[str, list[Vector]] = defaultdict(list)
    for vector in vectors:
        groups[vector.stored.clause].append(vector)
    verdicts = []
    for id_, clause in sorted(clauses().items()):
        if selected(id_, only):
            progress(id_)
            verdicts.append(_judge_clause(door, description, clause, groups[id_], exceptions))
    complaints = exceptions.complaints({verdict.clause.id: verdict.status for verdict in verdicts}, whole=not only)
    return Report(description, tuple(verdicts), time.perf_counter() - started, complaints)


def selected(id_: str, only: str) -> bool:
    """Tell whether a clause is among those whose ids begin so: ``GUIDE,DISTIL-06``; all where nothing is said."""
    return id_.startswith(tuple(only.split(",")))


def checked(description: Any) -> Description:
    """Return a description with fields of the right kind, from any object that has them.

    Raises:
        RequestError: a field is missing or wrong.
    """
    for names in ("operations", "dtypes"):
        if isinstance(getattr(description, names, None), str):
            raise RequestError(f"describe: expected {names} to be a tuple of names, got one text (is a comma missing?)")
    try:
        found = Description(
            str(description.name),
            str(description.version),
            tuple(description.operations),
            tuple(description.dtypes),
            dict(description.choices),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise RequestError(
            f"describe: expected name, version, operations, dtypes and choices, got {type(description).__name__} "
            f"({error})"
        ) from error
    for what, given, known in (
        ("operation", found.operations, (*OPERATIONS, *TAPS)),
        ("dtype", found.dtypes, JUDGED_DTYPES),
    ):
        for name in given:
            if name not in known:
                several = ", ".join(known) if len(known) <= 2 else f"{len(known)} known ones"
                raise RequestError(
                    f"describe: expected each {what} to be one of {several}, got '{name}'{nearest(str(name), known)}"
                )
    for choice, value in found.choices.items():
        if choice not in CHOICES:
            raise RequestError(
                f"describe: expected each choice to be one of {', '.join(CHOICES)}, "
                f"got '{choice}'{nearest(str(choice), CHOICES)}"
            )
        if value not in CHOICES[choice].alternatives:
            raise RequestError(
                f"describe: expected choice '{choice}' to be one of {', '.join(CHOICES[choice].alternatives)}, "
                f"got '{value}'"
            )
    return found


def _judge_clause(
    door: Door, description: Description, clause: Clause, group: Sequence[Vector], exceptions: Exceptions
) -> Verdict:
    if (unasked := _unasked(description, clause, group)) is not None:
        return Verdict(clause, unasked[0], (), unasked[1])
    waiver = exceptions.waiver(clause.id)
    findings = tuple(
        _ask(door, vector, dtype, waiver, description.operations)
        for vector in group
        for dtype in description.dtypes
        if _fits(vector.stored, description)
    )
    status = _status(findings)
    worst = next((found for found in findings if found.status == status and status != "PASS"), None)
    message = worst.message if worst else ""
    known: Known | None = exceptions.known(clause.id)
    if known is not None and status in {"FAIL", "ERROR"}:
        return Verdict(clause, "KNOWN", findings, f"known: {known.reason}; {message}")
    if status == "PASS" and (lacking := _lacking(description, clause)):
        offered = ", ".join(name for name in clause.needs if name not in lacking)
        told = f"its cases of {offered} pass; needs {', '.join(lacking)}, which the backend does not declare"
        return Verdict(clause, "UNSUPPORTED", findings, told)
    if waiver is not None and status == "PASS" and any((found.error or 0) > 1 / waiver.factor for found in findings):
        return Verdict(clause, "WAIVED", findings, f"within {waiver.factor:g} times the tolerance: {waiver.reason}")
    return Verdict(clause, status, findings, message)


def _lacking(description: Description, clause: Clause) -> list[str]:
    return [name for name in clause.needs if name not in description.operations]


def _unasked(description: Description, clause: Clause, group: Sequence[Vector]) -> tuple[Status, str] | None:
    """Return the status of a clause that need not be put to a backend, and why; None where it must be."""
    if (lacking := _lacking(description, clause)) == clause.needs:
        return "UNSUPPORTED", f"needs {', '.join(lacking)}, which the backend does not declare"
    declared = description.choices
    if any(declared.get(choice, value) != value for choice, value in clause.only.items()):
        about = ", ".join(f"{choice} = {value}" for choice, value in clause.only.items())
        return "NOT RUN", f"is about {about}, and the backend declares another alternative"
    if (undeclared := _undeclared(description, group)) is not None:
        return "FAIL", f"expected describe() to declare the choice '{undeclared}', got none"
    if not group:
        return "NOT RUN", "has no vectors here"
    if not any(_fits(vector.stored, description) for vector in group):
        return "NOT RUN", "no vector asks for all that the backend declares at once"
    return None


def _fits(stored: Stored, description: Description) -> bool:
    """Tell whether a vector asks for nothing but what a backend declares."""
    declared = description.choices
    if stored.operation not in description.operations:
        return False
    if stored.choice is not None and declared[stored.choice[0]] != stored.choice[1]:
        return False
    return declared_otherwise(declared, stored.operation, stored.settings) is None


def _undeclared(description: Description, group: Iterable[Vector]) -> str | None:
    offered = [vector.stored for vector in group if vector.stored.operation in description.operations]
    asked = {stored.choice[0] for stored in offered if stored.choice is not None}
    return next((choice for choice in sorted(asked) if choice not in description.choices), None)


def _status(findings: Sequence[Finding]) -> Status:
    found = {finding.status for finding in findings}
    for status in ("FAIL", "ERROR"):
        if status in found:
            return status
    # A dtype in which nothing can be told apart leaves a clause undecided only where there is no other.
    return "PASS" if "PASS" in found else "NOT RUN"


def _ask(door: Door, vector: Vector, dtype: str, waiver: Waiver | None, operations: Sequence[str]) -> Finding:
    stored = vector.stored

    def finding(status: Status, error: float | None, message: str) -> Finding:
        return Finding(vector.id, dtype, status, error, message, stored.why)

    if dtype not in stored.tolerance:
        return finding("NOT RUN", None, f"{vector.id}: {dtype} cannot tell right from wrong here")
    if vector.answers is None:
        return finding("NOT RUN", None, f"{vector.id}: the answers are not here")
    try:
        answer = door.call(vector, dtype, arguments(stored.settings, vector.inputs, dtype))
        answer = {str(name): np.asarray(value) for name, value in answer.items()}
    except Unsupported as refusal:
        told = f"{vector.id}, {dtype}: {stored.operation} is declared and answered 'unsupported' ({refusal})"
        return finding("FAIL", None, told)
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever a backend does is its own error
        told = f"{type(error).__name__}: {first_line(error)}{place_of(error)}"
        return finding("ERROR", None, f"{vector.id}, {dtype}: {told}")
    share, told, place = weigh(vector, dtype, answer, 1.0 if waiver is None else waiver.factor)
    if told and TAP_OF.get(stored.operation) in operations:
        layer, found = first_layer(door, vector, dtype)
        place = layer if found else place + layer
    told += place
    return finding("PASS" if not told else "FAIL", share, told and f"{vector.id}, {dtype}: {told}")


def weigh(vector: Vector, dtype: str, answer: Mapping[str, np.ndarray], factor: float) -> tuple[float | None, str, str]:
    """Return the error of an answer as a share of the tolerance, what is wrong with it, and where it departs.

    Both are nothing if it is right.

    Args:
        vector: with its answers.
        dtype: under test.
        answer: of the backend.
        factor: by which the tolerance is waived; 1 for none.
    """
    stored, right = vector.stored, vector.answers or {}
    floats = any(np.issubdtype(array.dtype, np.floating) for array in vector.inputs.values())
    if (wrong_form := mismatch(answer, right, dtype if floats else None)) is not None:
        return None, wrong_form, ""
    error, where = difference(stored.operation, stored.settings, answer, right)
    share = error / (stored.tolerance[dtype] * factor)
    if share <= 1:
        return share, "", ""
    told = f"'{where}' {extent(answer[where], right[where], error, stored.tolerance[dtype] * factor)}"
    return share, told, divergence(where, answer[where], right[where])


def extent(answer: np.ndarray, right: np.ndarray, error: float, tolerance: float) -> str:
    """Return how wrong an answer is, and in how many of its numbers."""
    if math.isinf(error):
        wrong = int(np.sum(answer != right))
        return f"is not equal in {wrong} of {right.size} places" if wrong else "is not distributed as it should be"
    gap = np.abs(answer.astype(np.float64) - right)
    wrong = int(np.sum(gap > gap.max() * tolerance / error))
    return f"is wrong by {error:.2g} of its largest number, {wrong} of {right.size} numbers beyond {tolerance:.1g}"


TAP_OF = {
    "masked_states": "masked_layers",
    "masked_forward": "masked_layers",
    "diffusion_states": "diffusion_layers",
    "diffusion_forward": "diffusion_layers",
}
"""The tap that is asked where a network is wrong: it takes the same arguments."""


def first_layer(door: Door, vector: Vector, dtype: str) -> tuple[str, bool]:
    """Return in which layer of which loop the numbers leave the reference's, in words, and whether one was found."""
    tap = Vector(vector.stored.model_copy(update={"operation": TAP_OF[vector.stored.operation]}), vector.inputs, None)
    given = partial(arguments, tap.stored.settings, tap.inputs)
    right = getattr(ReferenceBackend(), tap.stored.operation)(**given("float64"))["layers"]
    try:
        found = np.asarray(door.call(tap, dtype, given(dtype))["layers"], np.float64)
        gaps = np.abs(found - right).reshape(*right.shape[:2], -1).max(axis=-1) / np.abs(right).max()
    except (Exception, SystemExit) as error:  # noqa: BLE001  a tap helps; it is not judged
        return f"; its tap {tap.stored.operation} fails: {type(error).__name__}: {first_line(error)}", False
    apart = np.argwhere(gaps > vector.stored.tolerance[dtype])
    if not len(apart):
        told = "; its taps agree with the reference, so it is what comes after the last loop, or the taps are others"
        return told, False
    loop, layer = (int(index) for index in apart[0])
    return f"; the numbers part in loop {loop + 1}, layer {layer + 1} (by {gaps[loop, layer]:.1e})", True


def place_of(error: BaseException) -> str:
    """Return the last place in the backend's own code that an error came through, if there is one."""
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not {"conformance", "site-packages", "dist-packages"} & set(Path(frame.filename).parts)
    ]
    return f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's words, shortened."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else "no words"


def divergence(name: str, answer: np.ndarray, right: np.ndarray) -> str:
    """Return where an answer first departs: the loop of states, the step of lengths, else the place that is worst."""
    if answer.dtype == bool or not np.issubdtype(answer.dtype, np.floating):
        wrong = np.argwhere(answer != right)
        if not len(wrong):
            return ""
        first = tuple(int(index) for index in wrong[0])
        return f", first at {list(first)}: expected {right[first]}, got {answer[first]}"
    gap = np.abs(answer.astype(np.float64) - right)
    if name == "states":
        sizes = gap.reshape(len(gap), -1).max(axis=1) / np.abs(right).max()
        first = int(np.argmax(sizes > sizes.max() / 1000))
        return f"; the numbers part after loop {first + 1} of {len(gap)} (by {sizes[first]:.1e})"
    place = [int(index) for index in np.unravel_index(int(gap.argmax()), gap.shape)] if gap.ndim else []
    at = f" at {place}" if place else ""
    return f"{at}: expected {right[tuple(place)]:.6g}, got {answer[tuple(place)]:.6g}"


def profiles(report: Report) -> dict[str, bool]:
    """Return what is awarded, by profile."""
    return {profile: report.awarded(profile) for profile in PROFILES}
