"""A mixin for a mistake that replaces functions of the package while a backend answers."""

import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from elt_ref.conformance.operations import OPERATIONS

Change = tuple[str, Any, Any]
"""Name, function, and its replacement."""


def instead(module: str, **functions: Any) -> tuple[Change, ...]:
    """Return the changes that replace functions of ``elt_ref.MODULE`` by these functions of the same names."""
    place = import_module(f"elt_ref.{module}")
    return tuple((name, getattr(place, name), function) for name, function in functions.items())


class Altered:
    """Mixin that replaces functions of the package, wherever they are used, while the backend answers."""

    changes: tuple[Change, ...] = ()

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        return partial(_answer, value, self.changes) if name in OPERATIONS else value


def _answer(operation: Callable[..., Any], changes: tuple[Change, ...], **arguments: Any) -> Any:
    changed: list[tuple[Any, str, Any]] = []
    for module in list(sys.modules.values()):
        if module.__name__.startswith("elt_ref."):
            for name, original, replacement in changes:
                if vars(module).get(name) is original:
                    changed.append((module, name, original))
                    setattr(module, name, replacement)
    try:
        return operation(**arguments)
    finally:
        for module, name, original in changed:
            setattr(module, name, original)
