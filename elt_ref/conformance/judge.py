"""The judge: puts every vector to a backend, in every declared dtype, and reports which clauses hold."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np

from elt_ref.conformance.alike import likenesses
from elt_ref.conformance.backend import Description, Unsupported
from elt_ref.conformance.case import Stored, Vector
from elt_ref.conformance.choices import declared_otherwise
from elt_ref.conformance.clauses import PROFILES, Clause, clauses
from elt_ref.conformance.compare import departure, difference, mismatch
from elt_ref.conformance.description import checked
from elt_ref.conformance.exceptions import Exceptions
from elt_ref.conformance.failures import sentence
from elt_ref.conformance.finding import Finding, Status
from elt_ref.conformance.operations import FAMILIES, OPERATIONS
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.literal import visible


@runtime_checkable
class Door(Protocol):
    """A way to an implementation."""

    isolated: bool
    """Whether the implementation can reach neither the judge nor the answers in its memory."""

    def describe(self) -> Description:
        """Return the backend's description."""
        ...

    def call(self, vector: Vector, dtype: str, keywords: dict[str, Any]) -> Mapping[str, np.ndarray]:
        """Return the answer to a vector.

        Raises:
            Unsupported: the backend refuses the operation.
            Exception: any other failure; its message is reported.
        """
        ...


@dataclass(frozen=True)
class Verdict:
    """Result of one clause."""

    clause: Clause
    status: Status
    findings: tuple[Finding, ...]
    message: str

    @property
    def worst(self) -> Finding | None:
        """The most telling finding: the first that did not pass, else the one nearest to its tolerance."""
        failed = [each for each in self.findings if each.status not in {"PASS", "NOT RUN"}]
        compared = [each for each in self.findings if each.error is not None]
        return failed[0] if failed else max(compared, key=lambda each: each.error or 0.0, default=None)


@dataclass(frozen=True)
class Fresh:
    """What was asked beyond the stored vectors."""

    seed: int
    asked: int
    failed: int
    paged: int
    """Questions that a page of the paper answered as well."""
    clauses: frozenset[str] = frozenset()
    """Clauses that a question was about."""
    smallest: tuple[Vector, ...] = ()
    """The smallest failing question of each operation that fails."""


@dataclass(frozen=True)
class Report:
    """All verdicts on a backend."""

    backend: Description
    verdicts: tuple[Verdict, ...]
    seconds: float
    isolated: bool
    """Whether the backend was judged behind a door that isolates it; only then a profile is awarded."""
    complaints: tuple[str, ...] = ()
    """Problems of the file of known failures; any of them fails the run."""
    fresh: Fresh | None = None
    """Fresh questions; None if only stored vectors were asked."""

    @property
    def failed(self) -> list["Verdict"]:
        """Verdicts FAIL and ERROR; the first explains most.

        They are in the order in which their first failing operations build on one another; of one operation, the clause
        whose own mistakes fail most alike comes first.
        """
        wrong = [verdict for verdict in self.verdicts if verdict.status in {"FAIL", "ERROR"}]
        alike = likenesses(self.findings)

        def way(verdict: Verdict) -> tuple[int, float]:
            broken = [each.operation for each in verdict.findings if each.status in {"FAIL", "ERROR"}]
            first = min(OPERATIONS.index(name) for name in broken or verdict.clause.needs)
            return first, -max(alike.get(name, 0.0) for name in verdict.clause.wrong)

        return sorted(wrong, key=way)

    @property
    def findings(self) -> list[Finding]:
        """Results of all vectors."""
        return [finding for verdict in self.verdicts for finding in verdict.findings]

    @property
    def families(self) -> tuple[str, ...]:
        """The families of networks for which the backend declares an operation."""
        return tuple(family for family, own in FAMILIES.items() if set(own) & set(self.backend.operations))

    def required(self, profile: str) -> list[Clause]:
        """Return the clauses that a profile requires of this backend.

        Clauses of a family that it lacks and of alternatives other than the declared ones are left out; the award says
        so.
        """
        declared = self.backend.choices
        members = [clause for clause in clauses().values() if clause.profile == profile]
        of_families = {clause.family for clause in members if clause.family}
        if of_families and not of_families & set(self.families):
            return []  # what families share says nothing about whole networks
        return [
            clause
            for clause in members
            if clause.level != "should"
            and (clause.family is None or clause.family in self.families)
            and all(declared.get(choice, value) == value for choice, value in clause.only.items())
        ]

    def awarded(self, profile: str) -> bool:
        """Return whether a backend that was isolated passed every clause that a profile requires of it."""
        return self.isolated and self.earned(profile)

    def earned(self, profile: str) -> bool:
        """Return whether every clause that a profile requires of this backend ran and passed."""
        statuses = {verdict.clause.id: verdict.status for verdict in self.verdicts}
        required = self.required(profile)
        passed = all(statuses.get(clause.id) == "PASS" for clause in required)
        return bool(required) and passed and not self.unasked(profile)

    def unasked(self, profile: str) -> list[str]:
        """Return the clauses that a profile requires and that no fresh question was about."""
        asked = None if self.fresh is None else self.fresh.clauses
        return [] if asked is None else [clause.id for clause in self.required(profile) if clause.id not in asked]

    @property
    def passed(self) -> bool:
        """Whether something was judged and all failures are known: exit code 0."""
        statuses = {verdict.status for verdict in self.verdicts}
        return not self.complaints and bool(statuses & {"PASS", "WAIVED", "KNOWN"}) and not statuses & {"FAIL", "ERROR"}


@dataclass(frozen=True)
class Candidate:
    """A backend behind its door, and what is known of its failures."""

    door: Door
    description: Description
    exceptions: Exceptions

    def verdict(self, clause: Clause, group: Sequence[Vector]) -> Verdict:
        """Return the verdict on a clause by its vectors."""
        if (unasked := _unasked(self.description, clause, group)) is not None:
            return Verdict(clause, unasked[0], (), unasked[1])
        asked = [vector for vector in group if fits(vector.stored, self.description)]
        return self.concluded(
            clause, [self.ask(vector, dtype) for vector in asked for dtype in self.description.dtypes]
        )

    def concluded(self, clause: Clause, findings: Sequence[Finding]) -> Verdict:
        """Return the verdict that follows from all findings about a clause."""
        findings, waiver = tuple(findings), self.exceptions.waiver(clause.id)
        status = _status(findings)
        worst = next((each for each in findings if each.status == status and status != "PASS"), None)
        message = worst.message if worst else ""
        known = self.exceptions.known(clause.id)
        if known is not None and status in {"FAIL", "ERROR"}:
            return Verdict(clause, "KNOWN", findings, f"known: {known.reason}; {message}")
        if status == "PASS" and (lacking := _lacking(self.description, clause)):
            offered = ", ".join(name for name in clause.needs if name not in lacking)
            message = f"its cases of {offered} pass; needs {', '.join(lacking)}, which the backend does not declare"
            return Verdict(clause, "UNSUPPORTED", findings, message)
        if waiver is not None and status == "PASS" and any((each.error or 0) > 1 / waiver.factor for each in findings):
            return Verdict(clause, "WAIVED", findings, f"within {waiver.factor:g} times the tolerance: {waiver.reason}")
        return Verdict(clause, status, findings, message)

    def ask(self, vector: Vector, dtype: str) -> Finding:
        """Return how the backend answers a vector in a dtype."""
        stored, waiver = vector.stored, self.exceptions.waiver(vector.stored.clause)
        finding = partial(_finding, vector, dtype)
        if dtype not in stored.tolerance:
            return finding("NOT RUN", None, f"{vector.id}: {dtype} cannot tell right from wrong here")
        if vector.answers is None:
            return finding("NOT RUN", None, f"{vector.id}: the answers are not here")
        try:
            answer = self.door.call(vector, dtype, vector.arguments(dtype))
            answer = {str(name): np.asarray(value) for name, value in answer.items()}
            drawn_again = stored.operation != "student_draws" or _repeats(self.door, vector, dtype, answer)
        except Unsupported as refusal:
            message = f"{vector.id}, {dtype}: {stored.operation} is declared and answered 'unsupported' ({refusal})"
            return finding("FAIL", None, message)
        except Exception as error:  # noqa: BLE001  whatever a backend does is its own error
            return finding("ERROR", None, f"{vector.id}, {dtype}: {sentence(error)}")
        share, fault, place = weigh(vector, dtype, answer, 1.0 if waiver is None else waiver.factor)
        if not fault and not drawn_again:
            fault = "expected the same seed to give the same draws, got others"
        if not fault:
            return finding("PASS", share, "")
        layer = None
        if TAP_OF.get(stored.operation) in self.description.operations:
            said, layer = first_layer(self.door, vector, dtype)
            place = said if layer else place + said
        gap = None if share is None or share <= 1 else departure(answer, vector.answers)
        return replace(finding("FAIL", share, f"{vector.id}, {dtype}: {fault}{place}"), departure=gap, layer=layer)


def _finding(vector: Vector, dtype: str, status: Status, error: float | None, message: str) -> Finding:
    return Finding(vector.id, dtype, status, error, visible(message), vector.stored.why, vector.stored.operation)


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
        door: the door to the backend.
        vectors: vectors with their answers.
        only: what to judge, as in `selected`; everything by default.
        exceptions: known failures and waivers.
        progress: called with the id of each clause before it is judged.

    Raises:
        RequestError: the backend's description is wrong.
    """
    started = time.perf_counter()
    exceptions = exceptions or Exceptions()
    candidate = Candidate(door, checked(door.describe()), exceptions)
    groups: dict[str, list[Vector]] = defaultdict(list)
    for vector in vectors:
        groups[vector.stored.clause].append(vector)
    verdicts = []
    for id_, clause in sorted(clauses().items()):
        if selected(clause, only):
            progress(id_)
            verdicts.append(candidate.verdict(clause, groups[id_]))
    complaints = exceptions.complaints({verdict.clause.id: verdict.status for verdict in verdicts}, whole=not only)
    return Report(candidate.description, tuple(verdicts), time.perf_counter() - started, door.isolated, complaints)


def selected(clause: Clause, only: str) -> bool:
    """Return whether one of the words of `only` (``GUIDE,DISTIL-06,sampler,decode_step``) selects a clause.

    A word is the beginning of an id, a profile, or an operation. Nothing selects everything.
    """
    return any(clause.id.startswith(word) or word == clause.profile or word in clause.needs for word in only.split(","))


def _lacking(description: Description, clause: Clause) -> list[str]:
    return [name for name in clause.needs if name not in description.operations]


def _unasked(description: Description, clause: Clause, group: Sequence[Vector]) -> tuple[Status, str] | None:
    """Return the status of a clause that a backend can skip, and the reason; None if it must be judged."""
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
    if not any(fits(vector.stored, description) for vector in group):
        return "NOT RUN", "no vector asks for all that the backend declares at once"
    return None


def fits(stored: Stored, description: Description) -> bool:
    """Return whether a vector needs only what a backend declares."""
    declared = description.choices
    if stored.operation not in description.operations:
        return False
    if stored.choice is not None and declared.get(stored.choice[0]) != stored.choice[1]:
        return False
    return declared_otherwise(declared, stored.operation, stored.settings) is None


def _undeclared(description: Description, group: Iterable[Vector]) -> str | None:
    offered = [vector.stored for vector in group if vector.stored.operation in description.operations]
    chosen = {stored.choice[0] for stored in offered if stored.choice is not None}
    return next((choice for choice in sorted(chosen) if choice not in description.choices), None)


def _status(findings: Sequence[Finding]) -> Status:
    statuses = {finding.status for finding in findings}
    for status in ("FAIL", "ERROR"):
        if status in statuses:
            return status
    # A dtype that cannot tell right from wrong leaves a clause undecided only if there is no other dtype.
    return "PASS" if "PASS" in statuses else "NOT RUN"


def _repeats(door: Door, vector: Vector, dtype: str, answer: Mapping[str, np.ndarray]) -> bool:
    again = door.call(vector, dtype, vector.arguments(dtype))
    return all(np.array_equal(again.get(name, ()), value) for name, value in answer.items())


def weigh(vector: Vector, dtype: str, answer: Mapping[str, np.ndarray], factor: float) -> tuple[float | None, str, str]:
    """Return the error of an answer as a share of the tolerance, its fault in words, and where it departs.

    Both texts are empty if the answer is right.

    Args:
        vector: a vector with its answers.
        dtype: the dtype under test.
        answer: the backend's answer.
        factor: the waiver's factor on the tolerance; 1 for none.
    """
    stored, right = vector.stored, vector.answers or {}
    if (wrong_form := mismatch(answer, right, dtype if vector.has_floats else None)) is not None:
        return None, wrong_form, ""
    error, where = difference(stored.operation, stored.settings, answer, right)
    share = error / (stored.tolerance[dtype] * factor)
    if share <= 1:
        return share, "", ""
    fault = f"'{where}' {extent(answer[where], right[where], error, stored.tolerance[dtype] * factor)}"
    return share, fault, divergence(where, answer[where], right[where])


def extent(answer: np.ndarray, right: np.ndarray, error: float, tolerance: float) -> str:
    """Return the size of an error in words, and how many numbers are wrong."""
    if math.isinf(error):
        wrong = int(np.sum(answer != right))
        return f"is not equal in {wrong} of {right.size} places" if wrong else "has the wrong distribution"
    gap = np.abs(answer.astype(np.float64) - right)
    wrong = int(np.sum(gap > gap.max() * tolerance / error))
    return f"is wrong by {error:.2g} of its largest number, {wrong} of {right.size} numbers beyond {tolerance:.1g}"


TAP_OF = {
    "masked_states": "masked_layers",
    "masked_forward": "masked_layers",
    "diffusion_states": "diffusion_layers",
    "diffusion_forward": "diffusion_layers",
}
"""The tap for each network operation that may be wrong; it takes the same arguments."""


def tapped(vector: Vector) -> Vector:
    """Return the question to the tap of a network operation, with the reference's answer."""
    tap = TAP_OF[vector.stored.operation]
    answers = getattr(ReferenceBackend(), tap)(**vector.arguments("float64"))
    return replace(vector, stored=vector.stored.model_copy(update={"operation": tap}), answers=answers)


def first_layer(door: Door, vector: Vector, dtype: str) -> tuple[str, tuple[int, int] | None]:
    """Return the loop and layer in which the numbers leave the reference, in words and counted from 1, or None."""
    tap = tapped(vector)
    right = (tap.answers or {})["layers"]
    try:
        actual = np.asarray(door.call(tap, dtype, tap.arguments(dtype))["layers"], np.float64)
        gaps = np.abs(actual - right).reshape(*right.shape[:2], -1).max(axis=-1) / np.abs(right).max()
    except Exception as error:  # noqa: BLE001  a tap helps; it is not judged
        return f"; its tap {tap.stored.operation} fails: {sentence(error)}", None
    apart = np.argwhere(gaps > vector.stored.tolerance[dtype])
    if not len(apart):
        return "; its taps agree with the reference: the mistake is after the last loop, or the taps differ", None
    loop, layer = (int(index) for index in apart[0])
    said = f"; the numbers part in loop {loop + 1}, layer {layer + 1} (by {gaps[loop, layer]:.1e})"
    return said, (loop + 1, layer + 1)


def divergence(name: str, answer: np.ndarray, right: np.ndarray) -> str:
    """Return where an answer first departs: the loop of states, the step of lengths, else the worst place."""
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
    """Return whether each profile is awarded."""
    return {profile: report.awarded(profile) for profile in PROFILES}
