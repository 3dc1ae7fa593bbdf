"""Draw questions, put them to a backend in shuffled order, and make the first failure of an operation smaller."""

import re
import secrets
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from elt_ref.config import DiffusionConfig, ObjectiveConfig, SamplingConfig, TrainingConfig
from elt_ref.conformance.backend import Description
from elt_ref.conformance.case import Vector
from elt_ref.conformance.choices import declared_otherwise
from elt_ref.conformance.clauses import clauses as all_clauses
from elt_ref.conformance.doors import ProcessDoor
from elt_ref.conformance.exceptions import Exceptions
from elt_ref.conformance.finding import Finding
from elt_ref.conformance.fresh.answer import PRECISION, answered
from elt_ref.conformance.fresh.drawer import SEED_PLACE, SEEDS, Drawer
from elt_ref.conformance.fresh.subjects import QUESTIONS, subjects
from elt_ref.conformance.judge import Candidate, Door, Fresh, Report
from elt_ref.conformance.operations import OPERATIONS, TABLE, TREES
from elt_ref.errors import RequestError
from elt_ref.streams import stream

SEED = 20261125
"""Seed of the default draw."""
ROUNDS = 4
"""Rounds of the default draw; in each an operation is asked as often as the table of operations says."""
TWICE = 8
"""One question in so many is asked a second time, after all the others, and once more with other numbers."""
SECTIONS = {
    "diffusion": DiffusionConfig,
    "objective": ObjectiveConfig,
    "sampling": SamplingConfig,
    "training": TrainingConfig,
}
UNSAID = ("family", "initial_deviation", "training.dtype")
"""Settings that say nothing about a question."""
AHEAD = 4
"""Questions that are drawn while one is answered."""
CORNERS = 2
"""The first questions of an operation have a favoured value wherever there is one: far sizes together."""
TRIES = 20
"""Draws of a question before it is given up: a draw may be a tie, or badly conditioned."""
ERRORS = 3
"""Errors of an operation after which it is not asked again: each may cost a timeout."""
PATIENCE, IN_ALL = 10.0, 30.0
"""Seconds to make one failing question smaller, and all of them."""


@dataclass(frozen=True)
class Inquiry:
    """Which fresh questions to ask."""

    seed: int = SEED
    questions: int | None = None
    """Number of questions; by default several of every operation."""
    minutes: float | None = None
    """Time after which no further question is asked."""
    exported: bool = False
    """Whether the questions were exported, which no declared alternative could restrict."""


def seed_of(text: str | None) -> int:
    """Return the seed that a user names: a number, ``random``, or None for the default.

    Raises:
        RequestError: the text is neither.
    """
    if text is None:
        return SEED
    if text == "random":
        return secrets.randbelow(2**32)
    if not re.fullmatch("[0-9]{1,20}", text) or int(text) >= 2**64:
        raise RequestError(f"--seed: expected a number from 0 to 2⁶⁴ − 1, or random, got '{text}'")
    return int(text)


NOTHING_DECLARED = Description("", "", OPERATIONS)
"""Description of a backend that answers every question, whatever it will declare."""


@dataclass(frozen=True)
class Question:
    """A question with its answer, and the choices that lead to it."""

    vector: Vector
    choices: tuple[int, ...]
    values: Mapping[str, Sequence[Any]]
    """Values of the domain's quantities in it."""
    clauses: tuple[str, ...]


def with_fresh(
    report: Report,
    door: Door,
    inquiry: Inquiry,
    exceptions: Exceptions,
    *,
    whole: bool,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Return a report on stored vectors with the findings of fresh questions added to the verdicts.

    Args:
        report: the verdicts of the stored vectors.
        door: the door to the backend.
        inquiry: which questions to ask.
        exceptions: known failures and waivers.
        whole: whether all clauses were judged.
        progress: called with a line before each question.
    """
    started = time.perf_counter()
    judged = {verdict.clause.id for verdict in report.verdicts if verdict.findings}
    backend = Candidate(door, report.backend, exceptions)
    findings, fresh = ask_fresh(backend, inquiry, judged, progress)
    verdicts = tuple(
        backend.concluded(verdict.clause, (*verdict.findings, *findings[verdict.clause.id]))
        if findings[verdict.clause.id]
        else verdict
        for verdict in report.verdicts
    )
    complaints = exceptions.complaints({verdict.clause.id: verdict.status for verdict in verdicts}, whole=whole)
    seconds = report.seconds + time.perf_counter() - started
    return replace(report, verdicts=verdicts, complaints=complaints, seconds=seconds, fresh=fresh)


class Asking:
    """What a backend answered so far.

    Args:
        backend: the backend.
        clauses: clauses to judge; a question about no other is asked.
    """

    def __init__(self, backend: Candidate, clauses: set[str]) -> None:
        self.backend, self.clauses = backend, clauses
        self.findings: dict[str, list[Finding]] = defaultdict(list)
        self.errors: dict[str, int] = defaultdict(int)
        self.failed: set[str] = set()
        self.first: dict[str, tuple[Question, Finding]] = {}
        """The first failing question of each operation."""

    def put(self, question: Question) -> None:
        """Put a question to the backend in every declared dtype, unless its operation had too many errors."""
        operation, dtypes = question.vector.stored.operation, self.backend.description.dtypes
        if self.errors[operation] >= ERRORS:
            return
        for dtype in dtypes if question.vector.has_floats else dtypes[:1]:  # without numbers there is one question only
            finding = self.backend.ask(question.vector, dtype)
            self.errors[operation] += finding.status == "ERROR"
            if finding.status in {"FAIL", "ERROR"}:
                self.failed.add(question.vector.id)
                self.first.setdefault(operation, (question, finding))
            self._add(question, finding, last=True)

    def shrink(self, progress: Callable[[str], None]) -> tuple[Vector, ...]:
        """Return the smallest failing question of each operation; its finding becomes the first of its clauses."""
        smallest, started = [], time.perf_counter()
        for operation in sorted(self.first, key=OPERATIONS.index):
            progress(f"smaller questions of {operation}")
            until = min(time.perf_counter() + PATIENCE, started + IN_ALL)
            question, finding = Shrinker(self.backend, *self.first[operation], until).smallest()
            told = summary(question.vector)
            if self._passes_alone(question, finding.dtype):
                told = "asked alone, in a new process, it is right: something is kept from earlier questions"
            else:
                smallest.append(question.vector)
            self._add(question, replace(finding, message=f"{finding.message}; {told}"), last=False)
        return tuple(smallest)

    def _passes_alone(self, question: Question, dtype: str) -> bool:
        """Return whether a failing question passes as the first of a new process."""
        if not isinstance(self.backend.door, ProcessDoor):
            return False
        with suppress(RuntimeError):
            self.backend.door.close()
        return self.backend.ask(question.vector, dtype).status == "PASS"

    def _add(self, question: Question, finding: Finding, *, last: bool) -> None:
        for clause in self.clauses.intersection(question.clauses):
            known = self.findings[clause]
            name = f"{clause}/{question.vector.stored.slug}"
            known.insert(len(known) if last else 0, replace(finding, vector=name))


def ask_fresh(
    backend: Candidate, inquiry: Inquiry, clauses: set[str], progress: Callable[[str], None] = lambda _: None
) -> tuple[Mapping[str, list[Finding]], Fresh]:
    """Return the findings by clause, the smallest failures first, and a summary."""
    started, asked, paged, again = time.perf_counter(), 0, 0, list[Question]()
    asking, description = Asking(backend, clauses), backend.description
    described = NOTHING_DECLARED if inquiry.exported else description
    numbered = order(description, inquiry, clauses)
    for number, question in ahead(numbered, partial(draw, seed=inquiry.seed, description=described)):
        if inquiry.minutes is not None and time.perf_counter() - started > 60 * inquiry.minutes:
            break
        if question is None or not clauses.intersection(question.clauses):
            continue
        operation, settings = question.vector.stored.operation, question.vector.stored.settings
        if declared_otherwise(description.choices, operation, settings) is not None:
            continue
        asked += 1
        progress(f"fresh question {asked}: {operation}")
        paged += question.vector.stored.agreement is not None
        asking.put(question)
        if number % TWICE == 0:
            again.append(question)
    for question in again:
        asking.put(question)
        if not inquiry.exported and (other := sibling(question, described)) is not None:
            asking.put(other)
    smallest = asking.shrink(progress)
    return asking.findings, Fresh(inquiry.seed, asked, len(asking.failed), paged, frozenset(asking.findings), smallest)


def ahead(
    numbered: Iterable[tuple[str, int]], drawn: Callable[..., Question | None]
) -> Iterator[tuple[int, Question | None]]:
    """Yield the number and question of every operation and number, drawn in a thread while a process answers."""
    waiting: deque[tuple[int, Future[Question | None]]] = deque()
    with ThreadPoolExecutor(1) as pool:
        try:
            for operation, number in numbered:
                waiting.append((number, pool.submit(drawn, operation, number=number)))
                if len(waiting) > AHEAD:
                    first, question = waiting.popleft()
                    yield first, question.result()
            for first, question in waiting:
                yield first, question.result()
        finally:
            pool.shutdown(cancel_futures=True)


def exported(seed: int) -> list[Vector]:
    """Return the default draw of a seed, for a backend that has not described itself."""
    numbered = sorted(order(NOTHING_DECLARED, Inquiry(seed), set(all_clauses())))
    drawn = (draw(operation, seed, number, NOTHING_DECLARED) for operation, number in numbered)
    return [question.vector for question in drawn if question is not None]


def order(description: Description, inquiry: Inquiry, clauses: set[str]) -> Iterator[tuple[str, int]]:
    """Yield the operation and number of every question, shuffled."""
    needed = {name for clause in clauses for name in all_clauses()[clause].needs}
    offered = [name for name in OPERATIONS if name in description.operations and name in needed]
    most = max(operation.often for operation in TABLE.values())
    turn = [name for time in range(most) for name in offered if TABLE[name].often > time]
    count = len(turn) * ROUNDS if inquiry.questions is None else inquiry.questions
    numbers: dict[str, int] = defaultdict(int)
    questions = []
    for index in range(count if turn else 0):
        name = turn[index % len(turn)]
        questions.append((name, numbers[name]))
        numbers[name] += 1
    for index in stream(inquiry.seed, "fresh/order").permutation(len(questions)):
        yield questions[index]


def draw(operation: str, seed: int, number: int, description: Description) -> Question | None:
    """Return a question by its number; None if every draw was a tie or badly conditioned."""
    rng = stream(seed, f"fresh/{operation}", number)
    for attempt in range(TRIES):
        drawer = Drawer(description.choices, rng, corner=number if number < CORNERS and not attempt else None)
        question = build(operation, drawer, description, f"fresh-{operation}-{seed}-{number}")
        if question is not None:
            return question
    return None


def sibling(question: Question, description: Description) -> Question | None:
    """Return a question of the same sizes and settings with other numbers, against what is kept between calls."""
    stored, choices = question.vector.stored, list(question.choices)
    choices[SEED_PLACE] = (choices[SEED_PLACE] + 1) % SEEDS
    drawer = Drawer(description.choices, None, choices)
    return build(stored.operation, drawer, description, f"{stored.slug}-other")


def build(operation: str, drawer: Drawer, description: Description, slug: str) -> Question | None:
    """Return the question that a drawer draws, with its answer; None if it must not be asked."""
    layout = drawer.quantity("layout")
    drawn = QUESTIONS[operation](drawer)
    if declared_otherwise(description.choices, operation, drawn.settings) is not None:
        return None
    clauses = subjects(operation, drawn.settings, drawn.inputs)
    vector = answered(clauses[0], slug, operation, drawn, description.choices.get(PRECISION))
    if vector is None:
        return None
    return Question(replace(vector, layout=layout), tuple(drawer.choices), drawer.values, clauses)


class Shrinker:
    """Makes a failing question smaller, one choice at a time.

    Args:
        backend: the backend.
        question: a question that fails.
        finding: its failure; the smaller ones fail in the same dtype and in the same way.
        until: time of `time.perf_counter` after which nothing more is tried.
    """

    def __init__(self, backend: Candidate, question: Question, finding: Finding, until: float) -> None:
        self.backend, self.question, self.finding, self.until = backend, question, finding, until
        self.tried: set[tuple[int, ...]] = set()

    def smallest(self) -> tuple[Question, Finding]:
        """Return the smallest question, no single choice of which can be simpler, and its failure."""
        before: tuple[int, ...] = ()
        while before != self.question.choices:
            before, place = self.question.choices, 0
            while place < len(self.question.choices):
                self._lower(place)
                place += 1
        return self.question, self.finding

    def _lower(self, place: int) -> None:
        """Lower one choice: to the first value if that fails too, else by halves."""
        low = 0
        while place < len(choices := self.question.choices) and low < choices[place]:
            middle = (low + choices[place]) // 2 if low else 0
            if not self._fails((*choices[:place], middle, *choices[place + 1 :])):
                low = middle + 1

    def _fails(self, choices: tuple[int, ...]) -> bool:
        """Return whether these choices are a smaller question that fails, which it then becomes."""
        if choices in self.tried or time.perf_counter() > self.until:
            return False
        self.tried.add(choices)
        stored, description = self.question.vector.stored, self.backend.description
        candidate = build(stored.operation, Drawer(description.choices, None, choices), description, stored.slug)
        if candidate is None or sum(candidate.choices) >= sum(self.question.choices):
            return False
        for _ in range(2):  # a mistake may show only when a question comes again
            found = self.backend.ask(candidate.vector, self.finding.dtype)
            if found.status == self.finding.status and "is not asked again" not in found.message:
                self.question, self.finding = candidate, found
                return True
        return False


def summary(vector: Vector) -> str:
    """Return the smallest failing question in words: settings that are no defaults, and the shapes of its arrays."""
    stored = vector.stored.settings
    settings = {name: value for name, value in stored.items() if not isinstance(value, dict)} | stored.get("model", {})
    for section, defaults in SECTIONS.items():
        fields = defaults.model_fields
        own = {name: value for name, value in stored.get(section, {}).items() if value != fields[name].default}
        settings |= {f"{section}.{name}": value for name, value in own.items()}
    known = [f"{name} {value}" for name, value in settings.items() if name not in UNSAID]
    shapes = [
        f"{name} {list(array.shape)}" for name, array in vector.inputs.items() if name.partition(".")[0] not in TREES
    ]
    return f"the smallest question that fails has {', '.join(known + shapes)}"
