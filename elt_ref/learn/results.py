"""Grades as a terminal table, as sentences, as JSON, and as CSV."""

import csv
import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from elt_ref.conformance.alike import clause_of
from elt_ref.learn.exercises import Exercise, exercises, page_lines, pages
from elt_ref.learn.grader import Grade, Graded
from elt_ref.literal import sentence
from elt_ref.paper.mistakes import mistakes

COLOURS = {"done": "green", "wrong": "bold red", "to do": "dim", "not read": "red"}


SHOWN = 4
"""Number of given parts that are named."""
BLURRED = "Do not take far fewer steps: after 100 the pictures are still noise or grey."


def table(graded: Graded, title: str) -> Table:
    """Return the progress: a row for each exercise."""
    shown = Table(title=title, box=SIMPLE_HEAD, pad_edge=False)
    shown.add_column("", justify="right")
    shown.add_column("function", no_wrap=True)
    shown.add_column("where", no_wrap=True)
    shown.add_column("", no_wrap=True)
    shown.add_column("what", overflow="fold")
    for grade in graded.grades:
        status = Text(grade.status, style=COLOURS[grade.status])
        shown.add_row(str(grade.number), grade.exercise.function, place(grade), status, grade.exercise.title)
    return shown


def place(grade: Grade) -> str:
    """Return the file and line of a student's function."""
    return grade.exercise.file if grade.line is None else f"{grade.exercise.file}:{grade.line}"


def told(graded: Graded, folder: str, width: int) -> list[str]:
    """Return what is wrong, exercise by exercise, and the next step, in lines of a width where words allow it."""
    return [
        line
        for text in _sentences(graded, folder)
        for line in textwrap.wrap(text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        or [""]
    ]


def _sentences(graded: Graded, folder: str) -> list[str]:
    lines = [_closed(fault_of(name, fault)) for name, fault in graded.faults.items()]
    lines += [f"{name} prints {said}." for name, said in graded.printed.items()]
    lines += [f"{name}: {told_parts(parts)}." for name, parts in graded.differs.items()]
    named = set[str]()
    for grade in graded.grades:
        if grade.status == "wrong":
            lines += ["", _closed(f"{grade.number} {grade.exercise.function}, {place(grade)}: {grade.message}")]
            if grade.case:
                lines += [f"  The smallest wrong case is {grade.case}{f': {grade.why}' if grade.why else ''}."]
            if grade.mistake and grade.mistake not in named:
                named.add(grade.mistake)
                text = mistakes()[grade.mistake].text
                lines += [f"  The known mistake {grade.mistake} gives exactly this answer: {text}"]
            lines += [f"  {reading(grade.exercise, clause_of(grade.case))}."]
    return [*lines, "", next_step(graded, folder)]


def _closed(text: str) -> str:
    return text if text.endswith("?") else f"{text}."


def fault_of(name: str, fault: str) -> str:
    """Return why a file was not read, as a sentence about it."""
    return f"{name} {fault}" if fault.startswith(("does ", "ends ")) else f"{name}: {fault}"


def told_parts(parts: Sequence[str]) -> str:
    """Return that given parts of a file differ, in words."""
    names = ", ".join(parts[:SHOWN]) + (f" and {len(parts) - SHOWN} more" if len(parts) > SHOWN else "")
    return f"{names} {'differ' if parts[1:] else 'differs'} from the page's; your file will train otherwise"


def reading(exercise: Exercise, broken: str) -> str:
    """Return where to read about an exercise: its equation, the broken clause if it is about it, last the solution."""
    about = [name for name in exercise.reading if name not in exercise.equations]
    clause = [broken] if broken in about else about[:1]
    shown = [name for name in exercise.reading if name in exercise.equations][:1] + clause
    last = f"the page's own lines: {solution(exercise)}"
    if not shown:
        return f"Read last {last}"
    return f"Read {', '.join(f'`elt-ref show --no-page {name}`' for name in shown)}; last of all {last}"


def solution(exercise: Exercise) -> str:
    """Return the place of an exercise on its page."""
    return f"elt_ref/paper/{exercise.file}, line {page_lines(exercise.page)[exercise.function][0]}"


def next_step(graded: Graded, folder: str) -> str:
    """Return what to do next."""
    done = f"{graded.score} of {len(graded.grades)} done."
    if (left := graded.next) is None:
        if len(graded.grades) < len(exercises()):
            return f"{done} All {len(exercises())}: elt-ref learn check {folder}"
        first, *others = (f"python {folder}/{page}.py --steps 300 --out {folder}" for page in pages())
        return f"{done} Now let your files train: {first}, then {', then '.join(others)}. {BLURRED}"
    exercise = left.exercise
    if exercise.file in graded.faults:
        return f"{done} Next: make {exercise.file} a file that can be imported."
    if left.status == "to do" and left.line is None:
        return f"{done} Next: elt-ref learn start {folder} writes {exercise.file}, with {exercise.function} first."
    verb = "put right" if left.status == "wrong" else "write"
    return f"{done} Next: {verb} {left.number} {exercise.function} ({exercise.title}), {place(left)}."


def document(graded: Graded, folder: str) -> dict[str, Any]:
    """Return the grades for ``--json``."""
    rows = [
        {
            "number": grade.number,
            "name": grade.exercise.name,
            "status": grade.status,
            "file": grade.exercise.file,
            "line": grade.line,
            "message": grade.message,
            "case": grade.case,
            "why": grade.why,
            "mistake": grade.mistake,
            "equations": grade.exercise.equations,
            "clauses": grade.exercise.clauses,
            "solution": solution(grade.exercise),
        }
        for grade in graded.grades
    ]
    ending = graded.next.exercise.name if graded.next else None
    return {
        "folder": folder,
        "score": graded.score,
        "of": len(rows),
        "next": ending,
        "faults": dict(graded.faults),
        "printed": dict(graded.printed),
        "differs": dict(graded.differs),
        "exercises": rows,
    }


def notes(graded: Graded | str) -> str:
    """Return what a teacher should know of a submission, in a sentence."""
    if isinstance(graded, str):
        return graded
    parts = [fault_of(name, fault) for name, fault in graded.faults.items()]
    parts += [f"{name} prints {said}" for name, said in graded.printed.items()]
    parts += [f"{name}: {', '.join(differing)} not the page's" for name, differing in graded.differs.items()]
    wrong = [grade for grade in graded.grades if grade.status == "wrong"]
    parts += [f"{grade.exercise.function}: {grade.message}" for grade in wrong[:1]]
    return sentence("; ".join(parts))


def class_table(submissions: Mapping[str, Graded | str]) -> Table:
    """Return a row for each submission."""
    shown = Table(box=SIMPLE_HEAD, pad_edge=False)
    shown.add_column("submission", overflow="fold")
    for heading in COLOURS:
        shown.add_column(heading, justify="right", no_wrap=True)
    shown.add_column("note", overflow="fold")
    for name, graded in submissions.items():
        counts = [str(sum(each == status for each in statuses(graded))) for status in COLOURS]
        shown.add_row(name, *counts, notes(graded))
    return shown


def statuses(graded: Graded | str) -> Sequence[str]:
    """Return the status of each exercise; of a folder that cannot be graded, all are to do."""
    return ["to do"] * len(exercises()) if isinstance(graded, str) else [grade.status for grade in graded.grades]


def class_document(submissions: Mapping[str, Graded | str]) -> dict[str, Any]:
    """Return the grades of all submissions for ``--json``."""
    rows = [
        {
            "submission": name,
            "score": list(statuses(graded)).count("done"),
            "of": len(exercises()),
            "exercises": dict(zip(exercises(), statuses(graded), strict=True)),
            "note": notes(graded),
        }
        for name, graded in submissions.items()
    ]
    return {"submissions": rows}


def class_csv(submissions: Mapping[str, Graded | str]) -> str:
    """Return the grades of all submissions as CSV, with a column for each exercise."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["submission", "score", "of", *exercises(), "note"])
    for row in class_document(submissions)["submissions"]:
        cells = [row["submission"], row["score"], row["of"], *row["exercises"].values(), row["note"]]
        writer.writerow([_harmless(cell) for cell in cells])
    return text.getvalue()


def _harmless(cell: str | int) -> str | int:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@")) else cell
