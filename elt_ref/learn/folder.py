"""A student's folder: the files in it that are read, and what stands in them before anything runs."""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from elt_ref.conformance.answers import read_inside
from elt_ref.conformance.failures import first_line
from elt_ref.errors import RequestError
from elt_ref.learn.exercises import Exercise, differing, pages

MOST = 2**20
"""Bytes that a file of a submission may have."""


class Submission(NamedTuple):
    """The Python files of a folder, as they were when it was read."""

    folder: Path
    files: Mapping[str, bytes]
    """Content by name, of every file at the top that ends in ``.py``."""
    faults: Mapping[str, str]
    """Why a page's file cannot be graded, in words, by name; the file is missing, unreadable or no Python."""
    todo: Mapping[str, frozenset[str]]
    """Functions that are not filled in, by the name of the file."""
    lines: Mapping[str, Mapping[str, int]]
    """Line of each function, by the name of the file."""
    differs: Mapping[str, list[str]]
    """Parts that were given and are no longer the page's, by the name of the file."""

    def is_todo(self, exercise: Exercise) -> bool:
        """Return whether a function only raises NotImplementedError."""
        return exercise.function in self.todo.get(exercise.file, ())


def read_submission(folder: Path) -> Submission:
    """Read the files of a folder; nothing of them runs.

    Raises:
        RequestError: the folder is missing, or holds no page.
    """
    names = [f"{page}.py" for page in pages()]
    try:
        present = sorted(path.name for path in folder.iterdir() if path.suffix == ".py")
    except OSError as error:
        raise RequestError(f"{folder}: expected a folder of `elt-ref learn start`, got {error.strerror}") from error
    if not set(names) & set(present):
        raise RequestError(f"{folder}: expected {' or '.join(names)} in it, got neither")
    files, faults = dict[str, bytes](), dict[str, str]()
    for name in present:
        try:
            files[name] = read_inside(folder / name, folder, MOST)
        except OSError as error:
            faults[name] = f"expected a file that can be read, got {error.strerror}"
        except ValueError as error:
            faults[name] = str(error)
    if names[0] not in files:  # the others may be started later
        faults.setdefault(names[0], "expected a file, got none")
    found, differs = dict[str, list[ast.FunctionDef]](), dict[str, list[str]]()
    for name in (name for name in names if name in files):
        try:
            found[name] = _functions(files[name])
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            faults[name] = f"expected Python, got {_misread(error)}"
        else:
            differs[name] = differing(Path(name).stem, files[name])
    todo = {name: frozenset(each.name for each in own if _is_todo(each)) for name, own in found.items()}
    lines = {name: {each.name: each.lineno for each in own} for name, own in found.items()}
    return Submission(folder, files, faults, todo, lines, {name: parts for name, parts in differs.items() if parts})


def _functions(content: bytes) -> list[ast.FunctionDef]:
    return [node for node in ast.parse(content).body if isinstance(node, ast.FunctionDef)]


def _misread(error: BaseException) -> str:
    line = f" in line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
    words = error.msg if isinstance(error, SyntaxError) else first_line(error)
    return f"a {type(error).__name__}{line}: {words}"


def _is_todo(function: ast.FunctionDef) -> bool:
    """Return whether nothing but a docstring stands before ``raise NotImplementedError``."""
    first, *_ = function.body[1:] if ast.get_docstring(function) is not None and function.body[1:] else function.body
    if not isinstance(first, ast.Raise) or first.exc is None:
        return False
    raised = first.exc.func if isinstance(first.exc, ast.Call) else first.exc
    return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"
