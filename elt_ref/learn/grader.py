"""The grader: asks the judge's questions about each function of a folder, in processes that hold only copies of it."""

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from elt_ref.conformance.alike import clause_of, likenesses
from elt_ref.conformance.backend import Description, Unsupported
from elt_ref.conformance.case import Vector, read_vectors
from elt_ref.conformance.doors import ProcessDoor
from elt_ref.conformance.exceptions import Exceptions
from elt_ref.conformance.failures import first_line
from elt_ref.conformance.finding import Finding
from elt_ref.conformance.judge import Candidate, Door
from elt_ref.conformance.paper import PaperBackend
from elt_ref.errors import RequestError
from elt_ref.learn.exercises import Exercise, exercises, mistakes_in, pages
from elt_ref.learn.folder import Submission
from elt_ref.learn.submitted import question
from elt_ref.literal import sentence, visible
from elt_ref.paper.mistakes import mistakes

Status = Literal["done", "wrong", "to do"]
SECONDS = 10.0
"""Seconds that a submission may take for an answer."""
ALIKE = 0.5
"""Likeness from which a known mistake is named."""
NEARLY = 0.9
"""Share of the largest likeness from which another mistake is named too."""
NAMED = 2
"""Number of known mistakes that are named."""
BOOT = (
    "import json, os, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
    "os.environ.update(OPENBLAS_NUM_THREADS='1', OMP_NUM_THREADS='1', MKL_NUM_THREADS='1'); "
    "from elt_ref.learn.submitted import main; main(*sys.argv[1:])"
)
"""The program that serves a submission; it imports from the same places as the grader, and computes in one thread."""
PRINTED = "printed"
"""File beside the questions with what a submission has printed."""


@dataclass(frozen=True)
class Grade:
    """What is known of one exercise."""

    number: int
    exercise: Exercise
    status: Status
    line: int | None
    """Line of the student's function; None if there is none."""
    message: str = ""
    """What is wrong, in a sentence; empty if nothing is."""
    case: str = ""
    """The first case that shows it, CLAUSE/SLUG."""
    mistakes: tuple[str, ...] = ()
    """Known mistakes that answer alike, the most alike first."""


@dataclass(frozen=True)
class Graded:
    """What is known of a submission."""

    grades: tuple[Grade, ...]
    faults: Mapping[str, str]
    """Why nothing of a file could be graded, by its name."""
    printed: Mapping[str, str]
    """The first line that a file prints while it is graded, and how many follow, by its name."""

    @property
    def score(self) -> int:
        """Number of exercises that are done."""
        return sum(grade.status == "done" for grade in self.grades)

    @property
    def next(self) -> Grade | None:
        """The exercise to work on: the first that is wrong, else the first to do."""
        left = [grade for grade in self.grades if grade.status != "done"]
        return min(left, key=lambda grade: (grade.status != "wrong", grade.number), default=None)


def asked(exercise: Exercise) -> list[Vector]:
    """Return the questions about an exercise: of its clauses, where the page reaches."""
    vectors = [vector for clause in exercise.clauses for vector in _published()[clause]]
    return [vector for vector in vectors if _reaches(exercise.page, vector.id)]


@cache
def _published() -> dict[str, list[Vector]]:
    """Return the published questions by clause."""
    found = defaultdict[str, list[Vector]](list)
    for vector in read_vectors():
        found[vector.stored.clause].append(vector)
    return found


@cache
def _page(page: str) -> PaperBackend:
    backend = PaperBackend()
    backend.either = getattr(backend, page)
    return backend


@cache
def _reaches(page: str, id_: str) -> bool:
    """Return whether a page answers a question, in the one precision that it has."""
    (vector,) = (each for each in _published()[clause_of(id_)] if each.id == id_)
    operation = getattr(_page(page), vector.stored.operation, None)
    if operation is None or "float32" in (vector.stored.choice or ()) or "float64" not in vector.stored.tolerance:
        return False
    try:
        operation(**vector.arguments("float64"))
    except Unsupported:
        return False
    return True


class ExerciseDoor:
    """The door to a submission with one of its functions in the page."""

    isolated = True

    def __init__(self, door: Door, exercise: Exercise) -> None:
        self.door, self.exercise = door, exercise

    def describe(self) -> Description:
        """Return the submission's description."""
        return self.door.describe()

    def call(self, vector: Vector, dtype: str, keywords: dict[str, Any]) -> Mapping[str, np.ndarray]:
        """Return the answer to a question."""
        return self._call(vector, dtype, keywords, look=False)

    def departure(self, vector: Vector) -> str:
        """Return the first call of the function whose result is not the page's, in words; nothing if there is none."""
        try:
            self._call(vector, "float64", vector.arguments("float64"), look=True)
        except Exception as error:  # noqa: BLE001  whatever a submission does is its own error
            return first_line(error)
        return ""

    def _call(self, vector: Vector, dtype: str, keywords: dict[str, Any], *, look: bool) -> Mapping[str, np.ndarray]:
        name = question(self.exercise, vector.stored.operation, look=look)
        stored = vector.stored.model_copy(update={"operation": name})
        return self.door.call(replace(vector, stored=stored), dtype, keywords)


def grade(
    submission: Submission, *, timeout: float = SECONDS, progress: Callable[[str], None] = lambda _: None
) -> Graded:
    """Grade every exercise of a submission.

    Args:
        submission: its files; only copies of them run.
        timeout: seconds for each answer.
        progress: called with the name of each exercise before it is graded.
    """
    faults, printed, grades = dict(submission.faults), dict[str, str](), dict[str, Grade]()
    numbers = {name: number for number, name in enumerate(exercises(), 1)}

    def graded(exercise: Exercise, status: Status, message: str = "", **more: Any) -> Grade:
        line = submission.lines.get(exercise.file, {}).get(exercise.function)
        return Grade(numbers[exercise.name], exercise, status, line, sentence(message), **more)

    for page in pages():
        mine, file = [each for each in exercises().values() if each.page == page], f"{page}.py"
        waiting = [exercise for exercise in mine if not submission.is_todo(exercise)]
        grades |= {each.name: graded(each, "to do") for each in mine if each not in waiting}
        if waiting and file not in faults:
            with _opened(submission, file, timeout) as door:
                try:
                    door.describe()
                except RequestError as error:
                    faults[file] = _without(str(error), file)
                else:
                    for exercise in waiting:
                        progress(exercise.function)
                        grades[exercise.name] = graded(exercise, **judged(door, exercise))
                if said := _printed(door.folder / PRINTED):
                    printed[file] = said
        if file in faults:
            status: Status = "to do" if file not in submission.files else "wrong"
            grades |= {each.name: graded(each, status, faults[file]) for each in waiting}
    return Graded(tuple(grades[name] for name in exercises()), faults, printed)


def _without(text: str, beginning: str) -> str:
    return text.removeprefix(f"{beginning}: ")


@contextmanager
def _opened(submission: Submission, file: str, timeout: float) -> Iterator[ProcessDoor]:
    """Yield a door to a copy of a submission; in the end its processes are killed."""
    door = ProcessDoor([sys.executable, "-P", "-c", BOOT, json.dumps(sys.path)], timeout, what=file)
    copied = door.folder / "submission"
    copied.mkdir()
    for name, content in submission.files.items():
        (copied / name).write_bytes(content)
    door.command += [str(copied / file), str(door.folder / PRINTED)]
    try:
        yield door
    finally:
        with suppress(RuntimeError):
            door.close()


def judged(door: Door, exercise: Exercise) -> dict[str, Any]:
    """Return the status of an exercise, and of a wrong one what is known about it."""
    way = ExerciseDoor(door, exercise)
    candidate = Candidate(way, Description(exercise.name, "", (), ("float64",)), Exceptions())
    questions = {vector.id: vector for vector in asked(exercise)}
    findings = list(_findings(candidate, list(questions.values())))
    failed = [finding for finding in findings if finding.status != "PASS"]
    if any("NotImplementedError" in finding.message for finding in failed):
        return {"status": "to do"}
    if not failed:
        first = next(iter(questions.values()))
        shape = way.departure(first) if exercise.look == "shapes" else ""
        return {"status": "wrong", "message": shape} if shape else {"status": "done"}
    worst = failed[0]
    message = _without(worst.message, f"{worst.vector}, float64")
    if exercise.look != "nothing" and not _ended(worst):
        message = way.departure(questions[worst.vector]) or f"its values are right, its gradient is not: {message}"
    return {"status": "wrong", "message": message, "case": worst.vector, "mistakes": _alike(findings, exercise)}


def _findings(candidate: Candidate, questions: Sequence[Vector]) -> Iterator[Finding]:
    """Yield how each question is answered, until one takes too long or kills the program."""
    for vector in questions:
        finding = candidate.ask(vector, "float64")
        yield finding
        if _ended(finding):
            return


def _ended(finding: Finding) -> bool:
    """Return whether the program was killed, because it took too long, or died."""
    return "no answer" in finding.message or "the program died" in finding.message


def _alike(findings: Sequence[Finding], exercise: Exercise) -> tuple[str, ...]:
    """Return the known mistakes of a function that fail most alike."""
    found = {name: each for name, each in likenesses(findings).items() if name in mistakes_in(exercise.name)}
    least = max(ALIKE, NEARLY * max(found.values(), default=0.0))
    return tuple(sorted((name for name in found if found[name] >= least), key=lambda name: -found[name])[:NAMED])


def mistake_text(name: str) -> str:
    """Return a known mistake in a sentence."""
    return f"{name}: {mistakes()[name].text}"


def _printed(path: Path) -> str:
    """Return the first line of what was printed and how many follow; nothing if nothing was printed."""
    try:
        with path.open("rb") as file:
            text = file.read(2**16).decode("utf-8", "replace")
            more = sum(piece.count(b"\n") for piece in iter(lambda: file.read(2**16), b""))
    except OSError:
        return ""
    if not (lines := text.splitlines()):
        return ""
    return sentence(f"'{visible(lines[0])[:80]}'" + (f" and {len(lines) - 1 + more} more lines" if lines[1:] else ""))
