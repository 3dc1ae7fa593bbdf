"""Wrong implementations: one backend for each known mistake, to show that the suite catches it.

A mistake that stands on a page is the pages with its changes. Any other is a class in a module of this package: the
reference with one mistake; its name is the class's, in words with underscores.
"""

import pkgutil
import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib import import_module
from typing import Any

from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.paper.mistakes import mistakes
from specs.making.mistaken import MistakenPages


@cache
def classes() -> Mapping[str, type[ReferenceBackend]]:
    """Return the classes of the mistakes that no page holds, by name."""
    found: dict[str, type[ReferenceBackend]] = {}
    for module in sorted({module.name for module in pkgutil.iter_modules(__path__)} - {"altered", "composed"}):
        for value in vars(import_module(f"{__name__}.{module}")).values():
            if not isinstance(value, type) or value.__module__ != f"{__name__}.{module}":
                continue
            name = re.sub(r"(?<!^)(?=[A-Z])", "_", value.__name__).lower()
            if issubclass(value, ReferenceBackend) and not name.startswith("_"):
                found[name] = value
    return found


@cache
def wrong_implementations() -> Mapping[str, Callable[[], Any]]:
    """Return what makes the backend of each known mistake, by name.

    Raises:
        ValueError: a class has no entry in ``specs/mistakes``, or an entry without changes has no class.
    """
    made = {name for name, mistake in mistakes().items() if not mistake.changes}
    if odd := made.symmetric_difference(classes()):
        raise ValueError(f"mistakes {', '.join(sorted(odd))}: expected an entry without changes and a class for each")
    return {name: classes().get(name) or partial(MistakenPages, mistake) for name, mistake in mistakes().items()}
