"""A student's file as a backend: one function of it at a time, with the page's own functions beneath and above it.

This runs in a process of its own, which `elt_ref.learn.grader` starts.
"""

import copy
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

import numpy as np
from autograd.tracer import getval

from elt_ref.conformance.backend import Description, Tensors, Unsupported
from elt_ref.conformance.failures import BackendFailure, first_line
from elt_ref.conformance.paper import PaperBackend
from elt_ref.conformance.serve import serve
from elt_ref.errors import RequestError
from elt_ref.learn.confine import Confinement
from elt_ref.learn.exercises import Exercise, exercises
from elt_ref.learn.numbers import number, unlike
from elt_ref.paper.mistakes import page_file, page_text

LOOK = "look"
"""Beginning of a question that compares the calls of a function with the page's, instead of answering."""
CLOSE = 1e-9
"""Largest distance of two equal results, as a share of the largest number."""
FARTHEST = 3.0
"""Largest distance of draws from the uniform distribution, times the root of their number."""
FEW = 2
"""Wrong numbers of a result up to which the row of the input is shown."""
LARGEST_ROW = 8
"""Numbers of the longest row that is shown."""
CALL = "call"
"""Operation that calls a function as it is; every answer is the page's, or `Departed` says where it is not."""


def question(exercise: Exercise, operation: str, *, look: bool = False) -> str:
    """Return how an operation is asked with an exercise's function in the page."""
    return ":".join([*([LOOK] if look else []), exercise.name, operation])


class Departed(BackendFailure):
    """The first call whose result is not the page's, in words."""


class Submitted:
    """The page with one function of a student's file in it; its operations have the names that `question` gives."""

    def __init__(self, file: Path, watched: Callable[[], AbstractContextManager[None]]) -> None:
        """Run the file as a module.

        Args:
            file: a copy of the student's file.
            watched: what the student's code runs within.

        Raises:
            RequestError: it cannot be imported; the sentence says where.
        """
        self.file, self.watched = file, watched
        self.module = ModuleType(file.stem)
        self.module.__file__ = str(file)
        sys.modules[file.stem] = self.module  # dataclasses look their module up
        self.page: CodeType = compile(page_text(file.stem), str(page_file(file.stem)), "exec")
        try:
            with watched():
                exec(compile(file.read_bytes(), str(file), "exec"), vars(self.module))  # noqa: S102  what is graded
        except BaseException as error:
            raise RequestError(f"expected a file that can be imported, got {self._told(error)}") from error
        self.own = dict(vars(self.module))
        self.backend = PaperBackend()
        setattr(self.backend, file.stem, self.module)
        self.backend.either = self.module

    def describe(self) -> Description:
        """Return what every submission is asked."""
        return Description(self.file.name, "", (), ("float64",), PAGE_CHOICES)

    def __getattr__(self, name: str) -> Callable[..., Tensors]:
        """Return an operation of the page with a function of the student in it."""
        *look, exercise_name, operation = ["", *name.split(":")]
        if exercise_name not in exercises():
            raise AttributeError(name)
        exercise, looking = exercises()[exercise_name], LOOK in look
        asked = partial(self._called, exercise) if operation == CALL else getattr(self.backend, operation)

        def perform(**arguments: Any) -> Tensors:
            self._graft(exercise, looking=looking or operation == CALL)
            try:
                with self.watched():
                    return asked(**arguments)
            except BackendFailure:
                raise
            except Unsupported as error:
                call = first_line(error).rpartition("call of ")[2]
                raise BackendFailure(f"expected a call of '{call}', got none") from error
            except BaseException as error:
                raise BackendFailure(self._told(error)) from error

        return perform

    def _called(self, exercise: Exercise, **arguments: Any) -> Tensors:
        """Call a function with arguments, in which a number stands for a generator of that seed."""
        random = np.random.default_rng
        given = [random(each) if isinstance(each, int) else each for each in arguments.values()]
        vars(self.module)[exercise.function](*given)
        return {"same": np.array(True)}

    def _graft(self, exercise: Exercise, *, looking: bool) -> None:
        """Make the module the page, but for one function and what the student has added."""
        names = vars(self.module)
        names.clear()
        names.update(self.own)
        exec(self.page, names)  # noqa: S102  our own page
        right, students = names[exercise.function], self.own.get(exercise.function)
        if not callable(students):
            raise BackendFailure(f"expected a function '{exercise.function}', got none")
        if looking:
            students = compared(right, students, shapes=exercise.look == "shapes")
        names[exercise.function] = students

    def _told(self, error: BaseException) -> str:
        """Return an error of the student's code in words, with the line of the file."""
        if isinstance(error, SyntaxError) and error.filename == str(self.file):
            return f"a {type(error).__name__} in line {error.lineno}: {first_line(error)}"
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(self.file)]
        where = f" in line {lines[-1]}" if lines else ""
        return f"{type(error).__name__}{where}: {first_line(error)}"


PAGE_CHOICES = {"sampling.schedule_precision": "float64"}


def compared(right: Any, students: Any, *, shapes: bool) -> Callable[..., Any]:
    """Return a function that calls both, and raises `Departed` where the student's result is another.

    Args:
        right: the page's function.
        students: the student's.
        shapes: whether the values are random, so that only shapes and uniformity must be the page's.
    """
    signature = inspect.signature(right)

    def both(*arguments: Any, **named: Any) -> Any:
        given = signature.bind(*arguments, **named).arguments
        kept = {name: copy.deepcopy(each) for name, each in given.items() if isinstance(each, np.random.Generator)}
        expected, result = right(**{**given, **kept}), students(*arguments, **named)
        yields = inspect.isgenerator(expected)
        if yields:
            expected = list(expected)
            result = list(result) if hasattr(result, "__iter__") else result
        if fault := apart("the result", expected, result, parts="states" if yields else "results", shapes=shapes):
            called = ", ".join(described(name, value) for name, value in given.items())
            raise Departed(f"{fault.words}; {_row(given, fault) or f'called with {called}'}")
        return result

    return both


class Fault(NamedTuple):
    """What is wrong with a result."""

    words: str
    row: tuple[int, ...] = ()
    """Place of the row of the result with the first wrong number; empty if many are wrong, or there are no rows."""
    shape: tuple[int, ...] = ()
    """Shape of the result."""


def apart(what: str, expected: Any, result: Any, *, parts: str = "results", shapes: bool) -> Fault | None:
    """Return where a result first differs from the page's, or None."""
    if isinstance(expected, tuple | list):
        if not isinstance(result, tuple | list):
            return Fault(f"expected {len(expected)} {parts}, got {_form(result)}")
        if len(result) != len(expected):
            return Fault(f"expected {len(expected)} {parts}, got {len(result)}")
        places = (f"{parts.removesuffix('s')} {place} of {len(expected)}" for place in range(1, len(expected) + 1))
        pairs = zip(places, expected, result, strict=True)
        return next((fault for pair in pairs if (fault := apart(*pair, shapes=shapes))), None)
    return _values_apart(what, np.asarray(getval(expected)), getval(result), shapes=shapes)


def _values_apart(what: str, right: np.ndarray, result: Any, *, shapes: bool) -> Fault | None:
    if result is None or isinstance(result, str | dict | tuple | list) or inspect.isgenerator(result):
        return Fault(f"expected {what} to be {_form(right)}, got {_form(result)}")
    got = np.asarray(result)
    if got.shape != right.shape:
        return Fault(f"expected {what} of shape {list(right.shape)}, got {list(got.shape)}")
    if got.dtype == object or (right.dtype == bool) != (got.dtype == bool):
        return Fault(f"expected {what} in {right.dtype}, got {got.dtype}")
    if shapes:
        uniform = not right.ndim or is_uniform(got)
        return None if uniform else Fault(f"expected {what} to be independent and uniform in 0 … 1, got other numbers")
    with np.errstate(all="ignore"):
        gap = np.where(right == got, 0.0, np.abs(got.astype(float) - right.astype(float)))
    gap = np.where(np.isnan(gap), np.inf, gap)  # a NaN is as wrong as can be
    scale = max(np.abs(right.astype(float))[np.isfinite(right)].max(initial=0.0), np.finfo(float).tiny)
    wrong = gap > CLOSE * scale
    if not wrong.any():
        return None
    place = tuple(int(index) for index in np.argwhere(wrong)[0]) if right.ndim else ()
    at = f" at {list(place)}" if place else ""
    several = f" ({wrong.sum()} of {right.size} numbers differ)" if right.size > 1 else ""
    return Fault(
        f"expected {what}{at} to be {unlike(right[place], got[place], gap[place] / scale, CLOSE)}{several}",
        place[: max(1, right.ndim - 1)] if wrong.sum() <= FEW else (),
        right.shape,
    )


def is_uniform(drawn: np.ndarray) -> bool:
    """Return whether numbers can be independent uniform draws; by chance they seem not to be once in ten million."""
    numbers = np.sort(np.asarray(drawn, float), axis=None)
    if not (numbers[0] >= 0 and numbers[-1] <= 1):
        return False
    steps = np.arange(len(numbers) + 1) / len(numbers)
    farthest = max((numbers - steps[:-1]).max(), (steps[1:] - numbers).max())  # from the uniform distribution
    return bool(farthest < FARTHEST / np.sqrt(len(numbers)) and (np.diff(numbers) > 0).all())


def _row(given: Mapping[str, Any], fault: Fault) -> str:
    """Return the row of each small argument that belongs to a row of the result, in words; nothing if there is none."""
    found = []
    for name, value in given.items():
        array, place = getval(value), fault.row[: np.ndim(getval(value))]
        if place and isinstance(array, np.ndarray) and array.shape[: len(place)] == fault.shape[: len(place)]:
            part = array[place]
            if part.ndim <= 1 and part.size <= LARGEST_ROW:
                numbers = ", ".join(number(each) for each in part.ravel().tolist())
                found.append(f"{name}{list(place)} = {f'[{numbers}]' if part.ndim else numbers}")
    return f"there {', '.join(found)}" if found else ""


def described(name: str, value: Any) -> str:
    """Return an argument in words."""
    value = getval(value)
    if isinstance(value, Mapping):
        return f"{name} (a tree)"
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return f"{name} ({len(value)} layer{'s' * (len(value) > 1)})"
    if isinstance(value, np.ndarray) and value.ndim:
        return f"{name} {list(value.shape)}"
    plain = value is None or isinstance(value, np.ndarray | np.generic | float | int)
    return f"{name} = {number(value)}" if plain else f"{name} ({_form(value)})"


def _form(value: Any) -> str:
    """Return the shape of a result, or what else it is."""
    value = getval(value)
    if value is None:
        return "None (is a return missing?)"
    if isinstance(value, np.ndarray | np.generic | float | int):
        return f"{list(np.shape(value))}" if np.ndim(value) else number(value)
    if isinstance(value, tuple | list):
        return f"{len(value)} results"
    return "a tree" if isinstance(value, Mapping) else f"a {type(value).__name__}"


def main(file: str, printed: str) -> None:
    """Serve a submission, for the grader."""
    os.chdir(Path(file).parent)
    sys.path.append(str(Path(file).parent))  # the last, so that no file there stands in for a library
    confinement = Confinement(Path(printed))
    serve(lambda: Submitted(Path(file), confinement.student))
