"""The questions, one module per family of clauses. Each module has a tuple ``CASES``."""

import pkgutil
from functools import cache
from importlib import import_module

from specs.making.case import Case


@cache
def cases() -> dict[str, Case]:
    """Return every case by its id, in order.

    Raises:
        ValueError: two cases have the same id.
    """
    found: dict[str, Case] = {}
    for module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
        for case in getattr(import_module(f"{__name__}.{module}"), "CASES", ()):
            if case.id in found:
                raise ValueError(f"two cases are called {case.id}")
            found[case.id] = case
    return dict(sorted(found.items()))
