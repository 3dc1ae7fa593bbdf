"""The grader: asks the judge's questions about each function of a folder, in processes that hold only copies of it."""

import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from elt_ref.conformance import doors
from elt_ref.conformance.alike import clause_of, refusals
from elt_ref.conformance.backend import Description, Unsupported
from elt_ref.conformance.case import Output, Stored, Vector, read_vectors
from elt_ref.conformance.compare import error, mismatch
from elt_ref.conformance.exceptions import Exceptions
from elt_ref.conformance.failures import BackendFailure, first_line
from elt_ref.conformance.finding import Finding
from elt_ref.conformance.judge import Candidate, Door
from elt_ref.conformance.paper import PaperBackend
from elt_ref.errors import RequestError
from elt_ref.learn.exercises import Exercise, exercises, mistakes_in, mistakes_of, pages
from elt_ref.learn.folder import Submission
from elt_ref.learn.numbers import unlike
from elt_ref.learn.skeleton import skeleton
from elt_ref.learn.submitted import CALL, question
from elt_ref.literal import sentence, visible
from elt_ref.paper.mistakes import mistakes

Status = Literal["done", "wrong", "to do", "not read"]
"""A function is not read if its file cannot be imported."""
SECONDS = 10.0
"""Seconds that a submission may take for an answer."""
NEARLY = 0.01
"""Largest difference of two distances from the right answer that may be one, as a share."""
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
    """The case with the smallest input that shows it, CLAUSE/SLUG."""
    why: str = ""
    """What that case tells apart; empty if every case is wrong, so that this one says nothing of its own."""
    mistake: str = ""
    """A known mistake that gives the same answer in every case; empty if there is none."""


@dataclass(frozen=True)
class Graded:
    """What is known of a submission."""

    grades: tuple[Grade, ...]
    faults: Mapping[str, str]
    """Why nothing of a file could be graded, by its name."""
    printed: Mapping[str, str]
    """The first line that a file prints while it is graded, and how many follow, by its name."""
    differs: Mapping[str, list[str]]
    """Parts that were given and are no longer the page's, by the name of the file."""

    @property
    def score(self) -> int:
        """Number of exercises that are done."""
        return sum(grade.status == "done" for grade in self.grades)

    @property
    def next(self) -> Grade | None:
        """The exercise to work on: the first that is wrong or not read, else the first to do."""
        left = [grade for grade in self.grades if grade.status != "done"]
        return min(left, key=lambda grade: (grade.status == "to do", grade.number), default=None)


def asked(exercise: Exercise) -> list[Vector]:
    """Return the judge's questions about an exercise: of its clauses, where the page reaches."""
    vectors = [vector for clause in exercise.clauses for vector in _published()[clause]]
    return [vector for vector in vectors if _reaches(exercise.page, vector.id)]


def calls(exercise: Exercise) -> list[Vector]:
    """Return the calls of an exercise's function alone, as questions."""
    found = []
    for each in exercise.call:
        inputs = {name: np.array(value) for name, value in each.arguments.items() if isinstance(value, list)}
        stored = Stored(
            format=1,
            clause=exercise.function,
            slug=each.slug,
            operation=CALL,
            why=each.why,
            choice=None,
            settings={name: value for name, value in each.arguments.items() if name not in inputs},
            outputs={"same": Output(shape=[], dtype="bool")},
            tolerance={"float64": 1.0},
            noise={},
            agreement=None,
        )
        found.append(Vector(stored, inputs, {"same": np.array(True)}))
    return found


@cache
def _published() -> dict[str, list[Vector]]:
    """Return the published questions by clause."""
    found = defaultdict[str, list[Vector]](list)
    for vector in read_vectors():
        found[vector.stored.clause].append(vector)
    return found


@cache
def _page(page: str, mistake: str = "") -> PaperBackend:
    backend = PaperBackend(mistakes()[mistake] if mistake else None)
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
        self.answers: dict[str, Mapping[str, np.ndarray]] = {}
        """The submission's answers by question."""

    def describe(self) -> Description:
        """Return the submission's description."""
        return self.door.describe()

    def call(self, vector: Vector, dtype: str, keywords: dict[str, Any]) -> Mapping[str, np.ndarray]:
        """Return the answer to a question."""
        answer = self._call(vector, dtype, keywords, look=False)
        self.answers[vector.id] = answer
        return answer

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
        try:
            return self.door.call(replace(vector, stored=stored), dtype, keywords)
        except TimeoutError as error:
            words = first_line(error)
            hint = ": does a loop never end? (--timeout allows more)" if " within " in words else ""
            raise BackendFailure(f"{words}{hint}") from error


def grade(
    submission: Submission,
    *,
    only: Collection[str] = (),
    timeout: float = SECONDS,
    progress: Callable[[str], None] = lambda _: None,
) -> Graded:
    """Grade the exercises of a submission.

    Args:
        submission: its files; only copies of them run.
        only: names of the exercises to grade; all by default.
        timeout: seconds for each answer.
        progress: called with the name of each exercise before it is graded.
    """
    faults, printed, grades = dict(submission.faults), dict[str, str](), dict[str, Grade]()
    numbers = {name: number for number, name in enumerate(exercises(), 1)}
    chosen = [each for each in exercises().values() if not only or each.name in only]

    def graded(exercise: Exercise, status: Status, message: str = "", **more: Any) -> Grade:
        line = submission.lines.get(exercise.file, {}).get(exercise.function)
        return Grade(numbers[exercise.name], exercise, status, line, sentence(message), **more)

    for page in pages():
        mine, file = [each for each in chosen if each.page == page], f"{page}.py"
        waiting = [each for each in mine if not submission.is_todo(each) and file in submission.files]
        grades |= {each.name: graded(each, "to do") for each in mine if each not in waiting}
        touched = submission.files.get(file) != skeleton(page).encode()
        if mine and file in submission.files and touched and file not in faults:
            with _opened(submission, file, timeout) as door:
                try:
                    door.describe()
                except RequestError as error:
                    faults[file] = _unread(_without(str(error), file), max(timeout, doors.START))
                else:
                    for exercise in waiting:
                        progress(exercise.function)
                        grades[exercise.name] = graded(exercise, **judged(door, exercise))
                if said := _printed(door.folder / PRINTED):
                    printed[file] = said
        if file in faults:
            grades |= {each.name: graded(each, "not read", faults[file]) for each in waiting}
    return Graded(tuple(grades[each.name] for each in chosen), faults, printed, submission.differs)


def _unread(fault: str, seconds: float) -> str:
    """Return why a file was not read: it did not end, or exited, at its top level; or what it says itself."""
    if "no answer within" in fault:
        return f"does not finish importing within {seconds:g} s: does a loop outside of the functions never end?"
    if died := re.search(r"the program died \(exit code (-?\d+)\)", fault):
        return f"ends the program while it is imported (exit code {died[1]})"
    return fault


def _without(text: str, beginning: str) -> str:
    return text.removeprefix(f"{beginning}: ")


@contextmanager
def _opened(submission: Submission, file: str, timeout: float) -> Iterator[doors.ProcessDoor]:
    """Yield a door to a copy of a submission; in the end its processes are killed."""
    door = doors.ProcessDoor([sys.executable, "-P", "-c", BOOT, json.dumps(sys.path)], timeout, what=file)
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
    questions = {vector.id: vector for vector in (*asked(exercise), *calls(exercise))}
    findings = list(_findings(candidate, list(questions.values())))
    failed = [finding for finding in findings if finding.status != "PASS"]
    if any("NotImplementedError" in finding.message for finding in failed):
        return {"status": "to do"}
    if not failed:
        return {"status": "done"}
    worst = min(failed, key=lambda finding: sum(each.size for each in questions[finding.vector].inputs.values()))
    shown, right = questions[worst.vector], len(findings) - len(failed)
    return {
        "status": "wrong",
        "message": _told(way, shown, worst),
        "case": shown.id,
        "why": shown.stored.why if right else "",
        "mistake": _mistake(exercise, way.answers, failed, questions),
    }


def _told(way: ExerciseDoor, vector: Vector, finding: Finding) -> str:
    """Return what is wrong with the answer to a question, in words."""
    if way.exercise.look != "nothing" and not _ended(finding) and (said := way.departure(vector)):
        return said
    if finding.error is None:  # it raised, or the form is wrong
        return _without(finding.message, f"{finding.vector}, float64")
    said = differences(vector, way.answers[vector.id])
    gradient = way.exercise.look == "values" and vector.stored.operation in {*GRADIENTS, "loss_weight"}
    return f"its values are right, its gradient is not: {said}" if gradient else said


GRADIENTS = ("masked_gradient", "diffusion_gradient")
"""Operations whose outputs are gradients by the names of parameters."""


def differences(vector: Vector, answer: Mapping[str, np.ndarray]) -> str:
    """Return how a well-formed answer differs from the right one, in words."""
    stored, answers = vector.stored, vector.answers or {}
    if stored.operation == "student_draws":
        drawn, beyond = answer["loops"], stored.settings["max_loops"]
        got = f"numbers from {drawn.min()} to {drawn.max()}, or not equally often, or not independent"
        return f"expected {len(drawn)} L_int that are uniform in 1 … {beyond - 1} for MAX_LOOPS = {beyond}, got {got}"
    _, name = error(answer, answers)
    right, got = np.asarray(answers[name]), np.asarray(answer[name])
    gap = np.abs(got.astype(float) - right.astype(float))
    allowed = stored.tolerance["float64"] if right.dtype.kind == "f" else 0.0
    scale = gap.max() / error({name: got}, {name: right})[0] if right.dtype.kind == "f" else 1.0
    place = tuple(int(index) for index in np.unravel_index(int(gap.argmax()), gap.shape))
    words = f"expected {unlike(right[place], got[place], gap[place] / scale, allowed)}"
    called = _name(stored.operation, name)
    at = f" at {list(place)}" if place else ""
    wrong = int((gap > allowed * scale).sum())
    if wrong == 1:
        return f"one number of {called} differs{at}: {words}" if right.size > 1 else f"{called} differs: {words}"
    return f"{wrong} of {right.size} numbers of {called} differ; the largest difference is{at}: {words}"


def _name(operation: str, output: str) -> str:
    """Return an output of an operation in words."""
    if operation in GRADIENTS:
        return f"the gradient of '{output}'"
    return "the weight w(t), read from the gradient in prediction," if operation == "loss_weight" else f"'{output}'"


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


def _mistake(
    exercise: Exercise,
    answers: Mapping[str, Mapping[str, np.ndarray]],
    failed: Sequence[Finding],
    questions: Mapping[str, Vector],
) -> str:
    """Return the known mistake that gives a submission's answers in every case; its own function's come first."""
    cases = [finding.vector for finding in failed] + [name for name in questions if name in answers]
    cases = [name for name in dict.fromkeys(cases) if questions[name].stored.operation != CALL]
    if not cases or not set(cases) <= answers.keys() or len(answers) < len(questions):
        return ""
    own = mistakes_in(exercise.name)
    likely = [each for each in mistakes_of(exercise.page) if each in own or _as_far(each, failed[0])]
    for name in sorted(likely, key=lambda each: each not in own):
        backend = _page(exercise.page, name)
        if all(_same(backend, questions[case], answers[case]) for case in cases):
            return name
    return ""


def _as_far(mistake: str, finding: Finding) -> bool:
    """Return whether a known mistake is as far from the right answer as a wrong one."""
    known, gap = refusals().get(mistake, {}).get(finding.vector), finding.departure
    return known is not None and gap is not None and abs(known - gap) <= NEARLY * gap


def _same(backend: PaperBackend, vector: Vector, answer: Mapping[str, np.ndarray]) -> bool:
    """Return whether a backend answers a question as a submission does."""
    try:
        other = getattr(backend, vector.stored.operation)(**vector.arguments("float64"))
    except Exception:  # noqa: BLE001  a mistake may make a question unanswerable
        return False
    if mismatch(answer, other, "float64" if vector.has_floats else None) is not None:
        return False
    return error(answer, other)[0] <= vector.stored.tolerance["float64"]


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
