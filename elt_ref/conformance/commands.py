"""The work behind each ``elt-ref conform …`` command."""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from elt_ref.conformance import changes, reports
from elt_ref.conformance.case import Vector, read_vectors
from elt_ref.conformance.clauses import PROFILES, clauses, suite_version
from elt_ref.conformance.document import document
from elt_ref.conformance.doors import FilesDoor, ProcessDoor, PythonDoor, export, open_backend
from elt_ref.conformance.exceptions import Exceptions, draft, read_exceptions
from elt_ref.conformance.fresh.ask import Inquiry, exported, with_fresh
from elt_ref.conformance.fresh.case_file import numbers, read_case, write_case
from elt_ref.conformance.fresh.laws import laws
from elt_ref.conformance.judge import Fresh, Report, judge, selected
from elt_ref.conformance.operations import OPERATIONS
from elt_ref.conformance.smoke import smoke
from elt_ref.errors import RequestError, first_words, nearest
from elt_ref.files import check_apart, check_file, filled_folder, write_text
from elt_ref.run.idea import load_idea
from elt_ref.terminal import Terminal, print_json
from elt_ref.text_files import read_text

CASES = Path("elt-conform-cases")
"""Folder for the smallest failing questions, one file for each operation."""


def open_door(backend: str | None, command: str | None, timeout: float) -> ProcessDoor:
    """Return the door to a Python backend or to a program.

    Raises:
        RequestError: neither or both are passed, or the door cannot be opened.
    """
    if (backend is None) == (command is None):
        got = "neither" if backend is None else "both"
        raise RequestError(f"conform: expected a backend (package.module:Backend) or --exec COMMAND, got {got}")
    return open_backend(backend, timeout) if backend is not None else ProcessDoor(command or "", timeout)


def idea_backend(backend: str | None, command: str | None, source: str) -> str:
    """Return the backend that is the package with an idea.

    Raises:
        RequestError: another backend is named too, or there is no such idea.
    """
    if backend is not None or command is not None:
        raise RequestError(f"--idea: expected no other backend, got {backend or command}")
    load_idea(source)
    return f"elt_ref.conformance.idea_backend:{source}"


def list_clauses(console: Terminal) -> None:
    """Print every clause."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("clause", "level", "profile"):
        table.add_column(column, no_wrap=True)
    table.add_column("text")
    for each in clauses().values():
        table.add_row(each.id, each.level, each.profile, each.sentence)
    console.table(table)


def run_smoke(door: ProcessDoor, console: Terminal) -> int:
    """Print the problems of a harness; return the exit code."""
    try:
        results = smoke(door, read_vectors())
    finally:
        ended = close(door)
    broken = [one for one in results if one.fault]
    for name in door.undeclared():
        console.say(f"{name}: has a method that describe() does not name, so it is not judged")
    for one in broken:
        console.say(f"{one.operation}: {one.fault}")
    if ended:
        console.say(ended)
    summary = "all answers are well-formed" if not broken else f"{len(broken)} not well-formed"
    console.say(f"{reports.plural(len(results), 'operation')} called: {summary}. `conform run` checks the numbers.")
    return int(bool(broken or ended))


def close(door: PythonDoor | ProcessDoor | FilesDoor) -> str:
    """Let a program end; return a sentence if it ended wrongly, else an empty text."""
    if isinstance(door, ProcessDoor):
        try:
            door.close()
        except RuntimeError as error:
            return f"{door.what}: {error}"
    return ""


def run(
    door: PythonDoor | ProcessDoor | FilesDoor,
    *,
    called: str,
    only: str,
    known: Path | None,
    write_known: Path | None,
    outputs: Sequence[Path],
    as_json: bool,
    every: bool,
    vectors: Path | None = None,
    inquiry: Inquiry | None = None,
    case: Path | None = None,
    inputs: Sequence[Path] = (),
    idea: str | None = None,
) -> int:
    """Judge a backend, print the report, write the requested files; return the exit code.

    `inputs` are the files that the door reads. Where the package is judged with an `idea`, the report says which
    clauses it leaves, and gives no advice.

    Raises:
        RequestError: `only` selects nothing, or a file is wrong, is to be read and written, or cannot be written.
    """
    for word in only.split(","):
        if not any(selected(each, word) for each in clauses().values()):
            known_words = (*clauses(), *PROFILES, *OPERATIONS)
            raise RequestError(
                f"--only: expected a clause, a profile or an operation, got '{word}'{nearest(word, known_words)}"
            )
    _check_outputs(outputs, write_known, [*inputs, *(each for each in (known, case) if each is not None)])
    exceptions = read_exceptions(known) if known is not None else Exceptions()
    console = Terminal(stderr=as_json)
    report, ended = _judged(door, only, exceptions, read_vectors(vectors), inquiry, case)
    if ended:
        report = replace(report, complaints=(*report.complaints, ended))
    for path in outputs:
        write_text(path, _text(report, path, called))
    if write_known is not None:
        statuses = {verdict.clause.id: verdict.status for verdict in report.verdicts}
        drafted = draft(statuses, dt.datetime.now(tz=dt.UTC).date())
        write_text(write_known, drafted)
        what = "fill in a reason for each" if drafted else "which is empty: nothing fails"
        Terminal(stderr=True).say(f"Wrote {write_known}, {what}.")
    if as_json:
        print_json(document(report).model_dump(mode="json"))
    else:
        tell(report, console, called, every=every, idea=idea)
    if report.fresh is not None and idea is None:
        _write_smallest(report.fresh, console, called)
    return int(not report.passed)


def _write_smallest(fresh: Fresh, console: Terminal, called: str) -> None:
    """Write the smallest failing question of each operation, and print its numbers."""
    for vector in fresh.smallest:
        console.say(*numbers(vector))
        try:
            path = write_case(CASES, vector)
        except RequestError as error:  # the verdict stands
            Terminal(stderr=True).say(f"elt-ref: {error}")
            continue
        again = f"To ask it again: elt-ref conform {called} --case {path}"
        console.say(f"  {f'Wrote {path}' if called.startswith('judge ') else again}")


def _judged(
    door: PythonDoor | ProcessDoor | FilesDoor,
    only: str,
    exceptions: Exceptions,
    vectors: Sequence[Vector],
    inquiry: Inquiry | None,
    case: Path | None,
) -> tuple[Report, str]:
    """Return the report, and what was wrong with the program's end."""
    with Terminal(stderr=True).working("judging …") as now:

        def progress(what: str) -> None:
            now(f"judging {what} …")

        try:
            if case is not None:
                vector = read_case(case, door.describe().choices)
                report = judge(door, [vector], only=vector.stored.clause, exceptions=exceptions, progress=progress)
            else:
                report = judge(door, vectors, only=only, exceptions=exceptions, progress=progress)
            if inquiry is not None and case is None:
                report = with_fresh(report, door, inquiry, exceptions, whole=not only, progress=progress)
        finally:
            ended = close(door)
    return report, ended


def _text(report: Report, path: Path, called: str) -> str:
    if path.suffix == ".md":
        return reports.markdown(report)
    if path.suffix == ".html":
        return reports.page(report, called)
    if path.name == "badge.json":
        return reports.badge(report) + "\n"
    return document(report).model_dump_json(indent=1) + "\n"


def tell(report: Report, console: Terminal, called: str, *, every: bool, idea: str | None = None) -> None:
    """Print a report for human readers."""
    shown = reports.table(report, every=every)
    if shown.row_count:
        console.table(shown)
    advice = reports.advice(report, called) if idea is None else reports.left(report, idea)
    console.say(*reports.headlines(report), *advice, *report.complaints)
    number = reports.plural(len(report.verdicts), "clause")
    console.say(f"{number} of suite {suite_version()} in {report.seconds:.1f} s.")


def diff(old: Path, new: Path, *, as_json: bool) -> int:
    """Print what changed between two reports; return 1 if something is worse.

    Raises:
        RequestError: a file is no report.
    """
    changed = changes.changes(changes.read_report(old), changes.read_report(new))
    if as_json:
        print_json(changed.model_dump(mode="json"))
    else:
        changes.tell(changed, Terminal())
    return int(changed.worse)


def run_laws(door: PythonDoor | ProcessDoor, preset: str, *, as_json: bool) -> int:
    """Print which laws hold at the size of a preset; return the exit code.

    Raises:
        RequestError: there is no such preset.
    """
    try:
        found = list(laws(door, preset))
    finally:
        ended = close(door)
    broken = [law for law in found if law.message]
    passed = bool(found) and not broken and not ended
    if as_json:
        rows = [asdict(law) for law in found]
        print_json({"preset": preset, "passed": passed, "laws": rows, "complaint": ended})
        return int(not passed)
    console = Terminal()
    for law in found:
        line = f"{law.name} ({law.clause}), {law.dtype}: {law.message or law.kept}"
        console.say(line)
    summary = f"{reports.plural(len(found), 'law')} at the size of {preset}: {len(broken)} broken."
    console.say(f"{summary} {ended}".strip())
    return int(not passed)


def _check_outputs(reports_: Sequence[Path], write_known: Path | None, inputs: Sequence[Path]) -> None:
    for path in reports_:
        if path.suffix not in {".json", ".md", ".html"}:
            raise RequestError(f"--report: expected a name ending in .json, .md or .html, got '{path}'")
    for path in (*reports_, *([] if write_known is None else [write_known])):
        check_apart(path, inputs)
        check_file(path)


FRESH = "fresh.json"
"""File of an export that holds the seed of its fresh questions."""


def export_questions(folder: Path, seed: int | None) -> int:
    """Write the stored questions, and fresh ones if there is a seed; return their number.

    Raises:
        RequestError: the folder is not empty, or cannot be written to.
    """
    with filled_folder(folder):
        vectors = [*read_vectors(answers=False), *([] if seed is None else exported(seed))]
        export(vectors, folder)
        if seed is not None:
            write_text(folder / FRESH, json.dumps({"seed": seed}) + "\n")
    return len(vectors)


def exported_inquiry(folder: Path) -> Inquiry:
    """Return the inquiry about the fresh questions of an export; it has none without a seed.

    Raises:
        RequestError: the file of the seed is damaged.
    """
    path = folder / FRESH
    if not path.is_file():
        return Inquiry(questions=0)
    try:
        seed = json.loads(read_text(path))["seed"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RequestError(f"{path}: expected the seed of fresh questions, got {error}") from error
    if type(seed) is not int or not 0 <= seed < 2**64:
        raise RequestError(f"{path}: expected a seed from 0 to 2⁶⁴ − 1, got {first_words(seed)}")
    return Inquiry(seed, exported=True)
