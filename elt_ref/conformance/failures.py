"""Failures of backends in one sentence: what was raised, its first line, and the place in the backend's own code."""

import os
import traceback
from pathlib import Path

from pydantic import ValidationError

from elt_ref.literal import visible

STANDARD_LIBRARY = str(Path(os.__file__).parent)


class BackendFailure(Exception):  # noqa: N818  a report on a failure
    """A failure that a backend, or the process it runs in, described in a sentence of its own."""


def sentence(error: BaseException) -> str:
    """Return an error with its type, its first line and its place; a backend's own sentence stays as it is."""
    if isinstance(error, BackendFailure):
        return first_line(error)
    return f"{type(error).__name__}: {first_line(error)}{place_of(error)}"


def misread(error: ValidationError, whole: str) -> str:
    """Return the first thing that is wrong with what was read: its place, or `whole`, what is expected, what stands."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"])) or whole
    if first["type"] == "value_error":  # one of our own validators, which says what it got
        return f"{place}: {first['msg'].removeprefix('Value error, ')}"
    return f"{place}: {first['msg'].lower()}, got {repr(first['input'])[:80]}"


def place_of(error: BaseException) -> str:
    """Return the innermost place in the backend's own code on an error's traceback, if there is one."""
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not {"conformance", "site-packages", "dist-packages"} & set(Path(frame.filename).parts)
        and not frame.filename.startswith(("<frozen ", STANDARD_LIBRARY))
    ]
    return f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, shortened and visible."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # noqa: BLE001  its __str__ is the backend's own
        lines = []
    return visible(lines[0][:200]) if lines else "no words"
