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
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numpy as np
from autograd.tracer import getval

from elt_ref.conformance.backend import Description, Tensors, Unsupported
from elt_ref.conformance.failures import BackendFailure, first_line
from elt_ref.conformance.paper import PaperBackend
from elt_ref.conformance.serve import serve
from elt_ref.errors import RequestError
from elt_ref.learn.confine import Confinement
from elt_ref.learn.exercises import Exercise, exercises
from elt_ref.paper.mistakes import page_file, page_text

LOOK = "look"
"""Beginning of a question that compares the calls of a function with the page's, instead of answering."""
CLOSE = 1e-9
"""Largest distance of two equal results, as a share of the largest number."""


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

        def perform(**arguments: Any) -> Tensors:
            self._graft(exercise, looking=looking)
            try:
                with self.watched():
                    return getattr(self.backend, operation)(**arguments)
            except BackendFailure:
                raise
            except Unsupported as error:
                call = first_line(error).rpartition("call of ")[2]
                raise BackendFailure(f"expected a call of '{call}', got none") from error
            except BaseException as error:
                raise BackendFailure(self._told(error)) from error

        return perform

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
        shapes: whether only the shapes must be the page's, because the values are random.
    """
    signature = inspect.signature(right)

    def both(*arguments: Any, **named: Any) -> Any:
        kept = [copy.deepcopy(each) if isinstance(each, np.random.Generator) else each for each in arguments]
        expected, result = right(*kept, **named), students(*arguments, **named)
        if inspect.isgenerator(expected):
            expected = list(expected)
            result = list(result) if hasattr(result, "__iter__") else result
        if fault := apart("the result", expected, result, shapes=shapes):
            given = signature.bind(*arguments, **named).arguments
            called = ", ".join(f"{name} {_form(value)}" for name, value in given.items())
            raise Departed(f"called with {called}: {fault}")
        return result

    return both


def apart(what: str, expected: Any, result: Any, *, shapes: bool) -> str:
    """Return where a result first differs from the page's, in words, or nothing."""
    if isinstance(expected, tuple | list):
        if not isinstance(result, tuple | list) or len(result) != len(expected):
            return f"expected {what} to be {len(expected)} results, got {_form(result)}"
        places = (f"result {place} of {len(expected)}" for place in range(1, len(expected) + 1))
        pairs = zip(places, expected, result, strict=True)
        return next((fault for pair in pairs if (fault := apart(*pair, shapes=shapes))), "")
    return _values_apart(what, np.asarray(getval(expected)), getval(result), shapes=shapes)


def _values_apart(what: str, right: np.ndarray, result: Any, *, shapes: bool) -> str:
    if result is None or isinstance(result, str | dict | tuple | list) or inspect.isgenerator(result):
        return f"expected {what} to be {_form(right)}, got {_form(result)}"
    got = np.asarray(result)
    if got.shape != right.shape:
        return f"expected {what} of shape {list(right.shape)}, got {list(got.shape)}"
    if got.dtype == object or (right.dtype == bool) != (got.dtype == bool):
        return f"expected {what} in {right.dtype}, got {got.dtype}"
    if shapes:
        return ""
    with np.errstate(all="ignore"):
        gap = np.where(right == got, 0.0, np.abs(got.astype(float) - right.astype(float)))
    gap = np.where(np.isnan(gap), np.inf, gap)  # a NaN is as wrong as can be
    finite = np.abs(right.astype(float))[np.isfinite(right)]
    wrong = gap > CLOSE * max(finite.max(initial=0.0), np.finfo(float).tiny)
    if not wrong.any():
        return ""
    place = tuple(int(index) for index in np.argwhere(wrong)[0]) if right.ndim else ()
    at = f" at {list(place)}" if place else ""
    several = f" ({wrong.sum()} of {right.size} numbers differ)" if right.size > 1 else ""
    return f"expected {what}{at} to be {_number(right[place])}, got {_number(got[place])}{several}"


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)


def _form(value: Any) -> str:
    """Return the shape of a value, or what else it is."""
    value = getval(value)
    if value is None:
        return "None (is a return missing?)"
    if isinstance(value, np.ndarray | np.generic | float | int):
        return f"{list(np.shape(value))}" if np.ndim(value) else _number(value)
    if isinstance(value, tuple | list):
        return f"{len(value)} results"
    return "parameters" if isinstance(value, Mapping) else f"a {type(value).__name__}"


def main(file: str, printed: str) -> None:
    """Serve a submission, for the grader."""
    os.chdir(Path(file).parent)
    sys.path.append(str(Path(file).parent))  # the last, so that no file there stands in for a library
    confinement = Confinement(Path(printed))
    serve(lambda: Submitted(Path(file), confinement.student))
