"""How many automatic mutants of the core are noticed: ``python -m specs.making.mutation judge`` and ``… tests``.

``judge`` asks the mutated package what the judge asks the reference: every stored vector in both dtypes, and the fresh
questions that the pages answer too. It leaves out where work is counted and arguments are checked, which no answer
shows. ``tests`` tries these as well, and runs the tests of the mutant's room. Both ask only what runs through the
mutated function, the quickest first, and stop at the first that notices. A process is forked for every mutant; mutmut
and cosmic-ray would start pytest anew for each, and know no judge.

The survivors are printed, and written into ``specs/making/survivors.json`` with the score. Mutants of statements that
no question or test runs stand there too, and do not count.
"""

import argparse
import functools
import importlib
import io
import json
import os
import pickle
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from specs.making.mutants import Mutant, core_files, mutants

ROOT = Path(__file__).resolve().parents[2]
FILE = Path(__file__).with_name("survivors.json")
PATIENCE = 120
"""Seconds after which a mutant counts as noticed: it never ends."""
ROOMS = ("model", "objective", "generation", "ops", "schedules", "training")
"""Rooms whose tests are run."""
AGREE = 1e-9
"""Relative difference between page and package above which the judge stops."""

Place = tuple[str, int]
"""A file of the core, and a line of it."""


class Check(NamedTuple):
    """Something that may notice a mutant."""

    seconds: float
    what: Any
    """A question, or the id of a test."""
    places: frozenset[Place]
    """Lines of the core that it runs."""


class Outcome(NamedTuple):
    """What became of a mutant."""

    mutant: Mutant
    noticed: str
    """What noticed it; empty if nothing did."""
    asked: int
    """Number of checks that run its statement."""


# --- what runs through what


class Tracer:
    """Records which lines of the core run."""

    def __init__(self) -> None:
        self.files = {str(file): file.relative_to(ROOT).as_posix() for file in core_files(ROOT)}
        self.places: set[Place] = set()

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:  # noqa: ARG002  as `sys.settrace` wants
        """Note a line of the core; other files are not watched."""
        path = self.files.get(frame.f_code.co_filename)
        if path is None:
            return None
        self.places.add((path, frame.f_lineno))
        return self

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Record what runs now, and nothing that ran before."""
        self.places = set()
        sys.settrace(self)
        try:
            yield
        finally:
            sys.settrace(None)


def questions() -> list[Check]:
    """Return what the judge asks: the stored vectors in both dtypes, and fresh questions with the pages' answers."""
    from elt_ref.conformance.case import read_vectors  # noqa: PLC0415  the package is mutated elsewhere
    from elt_ref.conformance.fresh.ask import NOTHING_DECLARED, Inquiry, draw, order  # noqa: PLC0415
    from elt_ref.conformance.paper import PaperBackend, Unsupported  # noqa: PLC0415

    found, tracer, pages = [], Tracer(), PaperBackend()
    for vector in read_vectors():
        stored = vector.stored
        for dtype, tolerance in stored.tolerance.items():
            choice = dict([stored.choice]) if stored.choice else {}
            question = (
                vector.id,
                stored.operation,
                stored.settings,
                vector.inputs,
                dtype,
                choice,
                vector.answers,
                tolerance,
            )
            found.append(_timed(question, tracer))
    for operation, number in order(NOTHING_DECLARED, Inquiry(), _all_clauses()):
        if number < FRESH and (drawn := draw(operation, Inquiry().seed, number, NOTHING_DECLARED)) is not None:
            stored = drawn.vector.stored
            try:
                answer = getattr(pages, operation)(**_arguments(stored.settings, drawn.vector.inputs, "float64"))
            except (Unsupported, AttributeError):
                continue
            question = (
                stored.slug,
                operation,
                stored.settings,
                drawn.vector.inputs,
                "float64",
                {},
                dict(answer),
                AGREE,
            )
            found.append(_timed(question, tracer))
    return found


FRESH = 6
"""Fresh questions of every operation, of the default draw."""


def _all_clauses() -> set[str]:
    from elt_ref.conformance.clauses import clauses  # noqa: PLC0415

    return set(clauses())


def _arguments(*asked: Any) -> dict[str, Any]:
    from elt_ref.conformance.case import arguments  # noqa: PLC0415

    return arguments(*asked)


def _timed(question: Any, tracer: Tracer) -> Check:
    started = time.perf_counter()
    with tracer.watching():
        fault = ask(question)
    if fault:
        raise ValueError(f"{question[0]}: expected the right package to pass, got {fault}")
    return Check(time.perf_counter() - started, question, frozenset(tracer.places))


def ask(question: Any) -> str:
    """Return what is wrong with the package's answer to a question; empty if nothing is."""
    import numpy as np  # noqa: PLC0415

    from elt_ref.conformance.compare import difference, mismatch  # noqa: PLC0415
    from elt_ref.conformance.perform import perform  # noqa: PLC0415
    from elt_ref.conformance.reference import ReferenceBackend  # noqa: PLC0415

    name, operation, settings, inputs, dtype, choice, right, tolerance = question
    backend = ReferenceBackend()
    backend.choices = {**backend.choices, **choice}
    floats = any(np.issubdtype(array.dtype, np.floating) for array in inputs.values())
    try:
        answer = perform(backend, operation, _arguments(settings, inputs, dtype))
    except Exception as error:  # noqa: BLE001  whatever a mutant raises, it is noticed
        return f"{name}: {type(error).__name__}"
    right = {key: np.asarray(value) for key, value in right.items()}
    if mismatch(answer, right, dtype if floats else None) is not None:
        return f"{name}: malformed"
    if operation == "student_draws" and "/" not in name:
        return ""  # the pages draw from another generator
    return f"{name}" if difference(operation, settings, answer, right)[0] > tolerance else ""


# --- the tests of the rooms


class Watch:
    """A pytest plugin that notes what each test runs through, and how long it takes."""

    def __init__(self) -> None:
        self.tracer, self.found = Tracer(), list[Check]()

    def pytest_runtest_protocol(self, item: Any, nextitem: Any) -> bool:
        """Run a test under the tracer."""
        from _pytest.runner import runtestprotocol  # noqa: PLC0415  as pytest-rerunfailures does

        started = time.perf_counter()
        with self.tracer.watching():
            runtestprotocol(item, nextitem=nextitem, log=False)
        self.found.append(Check(time.perf_counter() - started, item.nodeid, frozenset(self.tracer.places)))
        return True


def run_tests(names: Sequence[str], plugins: Sequence[Any] = ()) -> int:
    """Run tests in this process; return pytest's exit code."""
    import pytest  # noqa: PLC0415

    quiet = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "--tb=no"]
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        return int(pytest.main([*quiet, *names], plugins=list(plugins)))


def room_tests() -> list[Check]:
    """Return every quick test of the rooms."""
    watch = Watch()
    code = run_tests([f"tests/{room}" for room in ROOMS], [watch])
    if code != 0:
        raise ValueError(f"tests of the rooms: expected them to pass, got exit code {code}")
    return watch.found


# --- one process for each mutant


def relevant(mutant: Mutant, checks: Sequence[Check]) -> list[Check]:
    """Return the checks that run a mutant's statement, the quickest first.

    A statement outside of functions runs when the file is imported: any check that runs a line of the file will do.
    """
    lines = {(mutant.path, line) for line in mutant.lines}
    through = [check for check in checks if lines & check.places]
    if not through and mutant.outside:
        through = [check for check in checks if any(path == mutant.path for path, _ in check.places)]
    return sorted(through, key=lambda check: check.seconds)


def forked(work: Callable[[], str], said: Path, seconds: int) -> int:
    """Start `work` in a process of its own, which writes what it returns to a file; return the process's number."""
    child = os.fork()
    if child == 0:
        signal.alarm(seconds)
        try:
            heard = work()
        except BaseException as error:  # noqa: BLE001  an import that fails, for example
            heard = f"{type(error).__name__}: {error}"
        said.write_text(heard, encoding="utf-8")
        os._exit(0)
    return child


def heard(said: Path) -> str:
    """Return what a process has written; one that died or never ended has noticed its mutant."""
    return said.read_text(encoding="utf-8") if said.exists() else "it never ends, or dies"


def place_of(mutant: Mutant, folder: Path) -> Path:
    """Make a checkout of links in a folder, with the mutant's file in it."""
    for name in ("elt_ref", "tiny_datasets", "specs", "tests", "docs"):
        shutil.copytree(ROOT / name, folder / name, copy_function=os.symlink, ignore=shutil.ignore_patterns("vectors"))
    for name in ("pyproject.toml", "README.md"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "specs" / "vectors").symlink_to(ROOT / "specs" / "vectors")
    (folder / mutant.path).unlink()
    (folder / mutant.path).write_text(mutant.source, encoding="utf-8")
    return folder


def judged(checks: Sequence[Check]) -> str:
    """Return the first question that notices; empty if none does."""
    return next((fault for check in checks if (fault := ask(check.what))), "")


def tested(checks: Sequence[Check]) -> str:
    """Return the first test that notices; empty if none does."""
    failed: list[str] = []

    class Note:
        def pytest_runtest_logreport(self, report: Any) -> None:
            if report.failed:
                failed.append(report.nodeid)

    code = run_tests([check.what for check in checks], [Note()])
    return "" if code == 0 else (failed[0] if failed else f"pytest's exit code {code}")


def tried(
    chosen: Sequence[Mutant], checks: Sequence[Check], notice: Callable[[Sequence[Check]], str], workers: int
) -> Iterator[Outcome]:
    """Yield what becomes of every mutant, `workers` of them at a time."""
    running: dict[int, tuple[Mutant, int, tempfile.TemporaryDirectory[str]]] = {}

    def ended() -> Outcome:
        mutant, asked, folder = running.pop(os.wait()[0])
        with folder:
            return Outcome(mutant, heard(Path(folder.name) / "said"), asked)

    for mutant in chosen:
        through = relevant(mutant, checks)
        if not through:
            yield Outcome(mutant, "", 0)
            continue
        if len(running) == workers:
            yield ended()
        folder = tempfile.TemporaryDirectory()
        work = functools.partial(_in_place, mutant, Path(folder.name), through, notice)
        running[forked(work, Path(folder.name) / "said", PATIENCE)] = mutant, len(through), folder
    while running:
        yield ended()


def _in_place(mutant: Mutant, folder: Path, through: Sequence[Check], notice: Callable[[Sequence[Check]], str]) -> str:
    place = place_of(mutant, folder)
    os.chdir(place)
    sys.path.insert(0, str(place))
    sys.dont_write_bytecode = True
    return notice(through)


def prepared(kind: str) -> list[Check]:
    """Return the checks of a kind, made in a process of its own: this one must not import the package."""
    with tempfile.TemporaryDirectory() as folder:
        file, said = Path(folder) / "checks", Path(folder) / "said"

        def work() -> str:
            os.chdir(ROOT)
            file.write_bytes(pickle.dumps(questions() if kind == "judge" else room_tests()))
            return "done"

        os.waitpid(forked(work, said, 3600), 0)
        if heard(said) != "done":
            raise RuntimeError(f"{kind}: expected checks of the right package, got {heard(said)}")
        return pickle.loads(file.read_bytes())  # noqa: S301  written above


LIBRARIES = ("numpy", "autograd.numpy", "pydantic", "safetensors.numpy", "PIL.Image", "rich.console")
"""What every process needs, imported once; not what is a plugin of pytest, which must load it itself."""


def main() -> None:
    """Try the mutants; print the survivors and the score, and store both."""
    parser = argparse.ArgumentParser(prog="python -m specs.making.mutation")
    parser.add_argument("kind", choices=["judge", "tests"])
    parser.add_argument("--every", type=int, default=1, metavar="N", help="a random one in N of the mutants (all)")
    parser.add_argument("--only", default="", metavar="PATH", help="mutants of files whose path has this in it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=FILE, help="file for the scores and the survivors")
    asked = parser.parse_args()
    for name in (*LIBRARIES, "pytest" if asked.kind == "tests" else "jaxtyping"):
        importlib.import_module(name)
    checks = prepared(asked.kind)
    everything = [
        mutant for mutant in mutants(ROOT) if asked.only in mutant.path and (mutant.answers or asked.kind == "tests")
    ]
    chosen = random.Random(asked.seed).sample(everything, len(everything) // asked.every)  # noqa: S311  no secret
    notice = judged if asked.kind == "judge" else tested
    outcomes = []
    try:
        for outcome in tried(chosen, checks, notice, asked.workers):
            outcomes.append(outcome)
            print(f"{len(outcomes)} of {len(chosen)}: {outcome.noticed or 'NOBODY'}: {outcome.mutant.name}", flush=True)  # noqa: T201
    except KeyboardInterrupt:
        print("stopped: the mutants are in random order, so those tried are a sample")  # noqa: T201
    report(asked.kind, outcomes, everything, asked.seed, asked.out)


def report(kind: str, outcomes: Sequence[Outcome], everything: Sequence[Mutant], seed: int, path: Path) -> None:
    """Print the score by room, and store it with the survivors; what no check runs is counted apart."""
    idle = sorted(outcome.mutant.name for outcome in outcomes if not outcome.asked)
    outcomes = [outcome for outcome in outcomes if outcome.asked]
    by_room: dict[str, list[bool]] = defaultdict(list)
    for outcome in outcomes:
        by_room[outcome.mutant.path.split("/")[1]].append(bool(outcome.noticed))
    for room, noticed in sorted(by_room.items()):
        print(f"{room}: {sum(noticed)} of {len(noticed)}")  # noqa: T201
    noticed = sum(bool(outcome.noticed) for outcome in outcomes)
    print(f"{kind}: {noticed} of {len(outcomes)} mutants noticed, {100 * noticed / len(outcomes):.1f} %")  # noqa: T201
    stored: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    survivors = sorted(outcome.mutant.name for outcome in outcomes if not outcome.noticed)
    print(f"{kind}: {len(idle)} more stand where no check runs")  # noqa: T201
    row = {
        "mutants": len(everything),
        "tried": len(outcomes),
        "seed": seed,
        "noticed": noticed,
        "survivors": survivors,
        "idle": idle,
    }
    path.write_text(json.dumps({**stored, kind: row}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
