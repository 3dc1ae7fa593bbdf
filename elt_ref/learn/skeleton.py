"""The skeleton of a page: its own text, where what helps to write a function stands in the place of its body."""

import ast
import textwrap
from pathlib import Path

from elt_ref.errors import RequestError
from elt_ref.files import made_folder, write_text
from elt_ref.learn.exercises import Exercise, exercises, functions, pages
from elt_ref.learn.folder import read_submission
from elt_ref.paper.mistakes import page_text

FIRST = """\
# ---- EXERCISES -------------------------------------------------------------------------------------------------------
# Write the functions that raise NotImplementedError, in the order of their numbers ({numbers} stand here). After each:
#     elt-ref learn check FOLDER        or one alone: elt-ref learn check FOLDER {first}
# Each is graded alone, with the page's own functions beneath it, so any order will do. The whole file trains on digits:
#     python FOLDER/{page}.py --steps 300 --out FOLDER
"""
WIDTH = 105
"""Characters of what is said about a function, in a line."""
SPOILER = "# Do the exercises of {before}.py first: the loop, attention and the loss stand here already.\n"


def skeleton(page: str) -> str:
    """Return the text of a page to fill in."""
    text = page_text(page)
    lines = text.splitlines(keepends=True)
    numbered = {
        each.function: (number, each) for number, each in enumerate(exercises().values(), 1) if each.page == page
    }
    for name, node in reversed(functions(text).items()):
        if name in numbered:
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            first, last = body[0].lineno, node.end_lineno or node.lineno
            lines[first - 1 : last] = [_task(*numbered[name])]
    docstring = ast.parse(text).body[0].end_lineno or 1
    numbers = [number for number, _ in numbered.values()]
    head = FIRST.format(page=page, numbers=f"{numbers[0]} … {numbers[-1]}", first=numbers[0])
    if before := pages()[: pages().index(page)]:
        head += SPOILER.format(before=before[-1])
    return "".join([*lines[:docstring], "\n", head, *lines[docstring:]])


def _task(number: int, exercise: Exercise) -> str:
    """Return what stands in the place of a function's body."""
    parts = {
        "Formula": exercise.formula,
        "Shapes": exercise.shapes,
        "Hint": exercise.hint,
        "Given": ", ".join(exercise.uses),
        "Read": f"elt-ref show --no-page NAME, of {', '.join(exercise.reading)}" if exercise.reading else "",
    }
    lines = [f"Exercise {number} of {len(exercises())} · {exercise.title}"]
    for heading, text in parts.items():
        told = [part for line in text.strip().splitlines() for part in textwrap.wrap(line, WIDTH)]
        lines += [f"{heading if place == 0 else '':<9}{line}" for place, line in enumerate(told)]
    comment = "".join(f"    # {line}\n" for line in lines)
    return f'{comment}    raise NotImplementedError("exercise {number}: {exercise.function}")\n'


def start(folder: Path, *, every: bool = False) -> list[Path]:
    """Write the skeleton of the first page into a new or empty folder, or of the next one once this is written.

    A later page holds much of what an earlier one asks for.

    Args:
        folder: the student's folder.
        every: whether to write all pages at once.

    Returns:
        The new files.

    Raises:
        RequestError: the folder has other files, functions of the page before are to do, or it cannot be written to.
    """
    names = [f"{page}.py" for page in pages()]
    present = {path.name for path in folder.iterdir()} if folder.is_dir() else set[str]()
    new = [name for name in names if name not in present]
    if (present and names[0] in new) or not new:
        raise RequestError(f"{folder}: expected a new or empty folder, got one with files; nothing was written")
    if not every:
        new = new[:1]
        before = names[: names.index(new[0])]
        if before and (left := _left(folder, before)):
            raise RequestError(
                f"{folder}: expected {' and '.join(before)} with every function written before {new[0]}, which shows "
                f"what they ask for, got {left}; --all writes it now"
            )
    with made_folder(folder):
        for name in new:
            write_text(folder / name, skeleton(Path(name).stem))
    return [folder / name for name in new]


def _left(folder: Path, files: list[str]) -> str:
    """Return what is missing in some files of a folder, in words."""
    submission = read_submission(folder)
    if faults := [f"{name}: {submission.faults[name]}" for name in files if name in submission.faults]:
        return faults[0]
    left = [each.function for each in exercises().values() if each.file in files and submission.is_todo(each)]
    return f"{len(left)} to do, {left[0]} first" if left else ""
