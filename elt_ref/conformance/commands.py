"""The work behind each ``elt-ref conform …`` command."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from elt_ref.conformance import changes, reports
from elt_ref.conformance.backend import OPERATIONS
from elt_ref.conformance.case import read_vectors
from elt_ref.conformance.clauses import PROFILES, clauses, suite_version
from elt_ref.conformance.document import document
from elt_ref.conformance.doors import FilesDoor, ProcessDoor, PythonDoor, export, open_backend
from elt_ref.conformance.exceptions import Exceptions, draft, read_exceptions
from elt_ref.conformance.judge import Report, judge, selected
from elt_ref.conformance.smoke import smoke, undeclared
from elt_ref.errors import RequestError, nearest
from elt_ref.files import write_text


def open_door(backend: str | None, command: str | None, timeout: float) -> PythonDoor | ProcessDoor:
    """Return the door to a Python object or to a program.

    Raises:
        RequestError: neither or both are passed, or the door cannot be opened.
    """
    if (backend is None) == (command is None):
        got = "neither" if backend is None else "both"
        raise RequestError(f"conform: expected a backend (package.module:Backend) or --exec COMMAND, got {got}")
    return open_backend(backend, timeout) if backend is not None else ProcessDoor(command or "", timeout)


def list_clauses(console: Console) -> None:
    """Print every clause."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("clause", "level", "profile"):
        table.add_column(column, no_wrap=True)
    table.add_column("text")
    for each in clauses().values():
        table.add_row(each.id, each.level, each.profile, escape(each.sentence))
    console.print(table)


def run_smoke(door: PythonDoor | ProcessDoor, console: Console) -> int:
    """Print the problems of a harness; return the exit code."""
    try:
        results = smoke(door, read_vectors())
    finally:
        ended = close(door)
    broken = [one for one in results if one.fault]
    for name in undeclared(door):
        console.print(f"{name}: has a method that describe() does not name, so it is not judged", highlight=False)
    for one in broken:
        console.print(f"{one.operation}: {one.fault}", highlight=False, markup=False)
    if ended:
        console.print(ended, highlight=False, markup=False)
    summary = "all answers are well-formed" if not broken else f"{len(broken)} not well-formed"
    console.print(f"{reports.plural(len(results), 'operation')} called: {summary}. `conform run` checks the numbers.")
    return int(bool(broken or ended))


def close(door: object) -> str:
    """Let a program end; return a sentence if it ended wrongly, else an empty text."""
    try:
        if isinstance(door, ProcessDoor):
            door.close()
    except RuntimeError as error:
        return f"--exec: {error}"
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
) -> int:
    """Judge a backend, print the report, write the requested files; return the exit code.

    Raises:
        RequestError: `only` selects nothing, or a file is wrong or cannot be written.
    """
    for word in only.split(","):
        if not any(selected(each, word) for each in clauses().values()):
            known_words = (*clauses(), *PROFILES, *OPERATIONS)
            raise RequestError(
                f"--only: expected a clause, a profile or an operation, got '{word}'{nearest(word, known_words)}"
            )
    for path in outputs:
        if path.suffix not in {".json", ".md", ".html"}:
            raise RequestError(f"--report: expected a name ending in .json, .md or .html, got '{path}'")
    exceptions = read_exceptions(known) if known is not None else Exceptions()
    console = Console(stderr=as_json)
    with Console(stderr=True).status("judging …") as status:
        try:
            report = judge(
                door,
                read_vectors(vectors),
                only=only,
                exceptions=exceptions,
                progress=lambda id_: status.update(f"judging {id_} …"),
            )
        finally:
            ended = close(door)
    if ended:
        report = replace(report, complaints=(*report.complaints, ended))
    for path in outputs:
        write_text(path, _text(report, path, called))
    if write_known is not None:
        statuses = {verdict.clause.id: verdict.status for verdict in report.verdicts}
        drafted = draft(statuses, dt.datetime.now(tz=dt.UTC).date())
        write_text(write_known, drafted)
        what = "fill in a reason for each" if drafted else "which is empty: nothing fails"
        Console(stderr=True).print(f"Wrote {write_known}, {what}.", highlight=False, soft_wrap=True)
    if as_json:
        print(document(report).model_dump_json(indent=1))  # noqa: T201  the command's result
    else:
        tell(report, console, called, every=every)
    return int(not report.passed)


def _text(report: Report, path: Path, called: str) -> str:
    if path.suffix == ".md":
        return reports.markdown(report)
    if path.suffix == ".html":
        return reports.page(report, called)
    if path.name == "badge.json":
        return reports.badge(report) + "\n"
    return document(report).model_dump_json(indent=1) + "\n"


def tell(report: Report, console: Console, called: str, *, every: bool) -> None:
    """Print a report for human readers."""
    shown = reports.table(report, every=every)
    if shown.row_count:
        console.print(shown)
    for line in (*reports.headlines(report), *reports.advice(report, called), *report.complaints):
        console.print(line, highlight=False, markup=False)
    number = reports.plural(len(report.verdicts), "clause")
    console.print(f"{number} of suite {suite_version()} in {report.seconds:.1f} s.", highlight=False)


def diff(old: Path, new: Path, *, as_json: bool) -> int:
    """Print what changed between two reports; return 1 if something is worse.

    Raises:
        RequestError: a file is no report.
    """
    changed = changes.changes(changes.read_report(old), changes.read_report(new))
    if as_json:
        print(changed.model_dump_json(indent=1))  # noqa: T201  the command's result
    else:
        changes.tell(changed, Console())
    return int(changed.worse)


def export_questions(folder: Path) -> int:
    """Write the questions; return their number."""
    vectors = read_vectors(answers=False)
    export(vectors, folder)
    return len(vectors)
