"""One operation of a Python backend, and what it may not do: answer with anything but arrays, change its arguments."""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from elt_ref.conformance.backend import Unsupported
from elt_ref.conformance.operations import OPERATIONS, TAPS


def perform(backend: Any, operation: str, keywords: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return a backend's answer.

    Raises:
        Unsupported: it has no such method, or refuses the question.
        BaseException: whatever else the method raises.
        TypeError: the answer is no dict of arrays.
        ValueError: an argument was changed.
    """
    method = getattr(backend, operation, None)
    if method is None:
        raise Unsupported(f"no method {operation}")
    before = copy.deepcopy(keywords)
    answer = method(**keywords)
    if not isinstance(answer, Mapping):
        raise TypeError(f"expected a dict of arrays by name, got {type(answer).__name__}")
    for name, value in answer.items():
        if not isinstance(value, np.ndarray | np.generic):
            raise TypeError(f"expected '{name}' to be an array, got {type(value).__name__}")
        if value.dtype.kind not in "biuf":
            raise TypeError(f"expected '{name}' in a dtype of real numbers, integers or booleans, got {value.dtype}")
    for name, value in before.items():
        if (changed := _changed(name, value, keywords[name])) is not None:
            raise ValueError(f"expected the arguments to be left alone, got another '{changed}'")
    return {str(name): np.asarray(value) for name, value in answer.items()}


def _changed(name: str, before: Any, after: Any) -> str | None:
    """Return the name of the first part of an argument that was changed, or None."""
    if type(before) is not type(after):
        return name
    if isinstance(before, np.ndarray):
        return None if before.dtype == after.dtype and np.array_equal(before, after) else name
    if isinstance(before, dict):
        if before.keys() != after.keys():
            return name
        parts = ((f"{name}.{key}", value, after[key]) for key, value in before.items())
        return next((changed for part in parts if (changed := _changed(*part)) is not None), None)
    return None if before == after else name


def undeclared(backend: Any, declared: tuple[str, ...]) -> list[str]:
    """Return the operations that a backend implements but does not declare."""
    return [name for name in (*OPERATIONS, *TAPS) if hasattr(backend, name) and name not in declared]
