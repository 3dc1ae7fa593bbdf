"""The skeleton of a page: its own text, where what helps to write a function stands in the place of its body."""

import ast
import textwrap
from pathlib import Path

from elt_ref.errors import RequestError
from elt_ref.files import made_folder, write_text
from elt_ref.learn.exercises import Exercise, exercises, functions, pages
from elt_ref.paper.mistakes import page_text

FIRST = """\
# ---- EXERCISES -------------------------------------------------------------------------------------------------------
# Write the functions that raise NotImplementedError, in the order of their numbers ({numbers} stand here). After each:
#     elt-ref learn check FOLDER
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
    head = FIRST.format(page=page, numbers=f"{numbers[0]} … {numbers[-1]}")
    if before := pages()[: pages().index(page)]:
        head += SPOILER.format(before=before[-1])
    return "".join([*lines[:docstring], "\n", head, *lines[docstring:]])


def _task(number: int, exercise: Exercise) -> str:
    """Return what stands in the place of a function's body."""
    read = [*exercise.equations, *exercise.clauses]
    parts = {
        "Formula": exercise.formula,
        "Shapes": exercise.shapes,
        "Hint": exercise.hint,
        "Given": ", ".join(exercise.uses),
        "Read": ", ".join(f"elt-ref show {name}" if place == 0 else name for place, name in enumerate(read)),
    }
    lines = [f"Exercise {number} of {len(exercises())} · {exercise.title}"]
    for heading, text in parts.items():
        told = [part for line in text.strip().splitlines() for part in textwrap.wrap(line, WIDTH)]
        lines += [f"{heading if place == 0 else '':<9}{line}" for place, line in enumerate(told)]
    comment = "".join(f"    # {line}\n" for line in lines)
    return f'{comment}    raise NotImplementedError("exercise {number}: {exercise.function}")\n'


def start(folder: Path) -> list[Path]:
    """Write the skeletons of all pages into a new or empty folder; return the files.

    Raises:
        RequestError: the folder has files, or cannot be written to.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise RequestError(f"{folder}: expected a new or empty folder, got one with files; nothing was written")
    files = [folder / f"{page}.py" for page in pages()]
    with made_folder(folder):
        for file in files:
            write_text(file, skeleton(file.stem))
    return files
