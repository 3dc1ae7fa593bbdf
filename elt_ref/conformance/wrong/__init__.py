"""Wrong implementations: the reference with one mistake each, to show that the suite catches them.

Each is a class in a module of this package whose docstring says the mistake and where it was seen; its name is the
class's, in words with underscores.
"""

import pkgutil
import re
from functools import cache
from importlib import import_module

from elt_ref.conformance.reference import ReferenceBackend


@cache
def wrong_implementations() -> dict[str, type[ReferenceBackend]]:
    """Return the wrong implementations by name.

    Raises:
        ValueError: two classes have the same name, or a class has no docstring of its own.
    """
    found: dict[str, type[ReferenceBackend]] = {}
    for module in sorted({module.name for module in pkgutil.iter_modules(__path__)} - {"composed"}):
        for value in vars(import_module(f"{__name__}.{module}")).values():
            if (
                not isinstance(value, type)
                or not issubclass(value, ReferenceBackend)
                or value.__module__ != f"{__name__}.{module}"
            ):
                continue
            name = re.sub(r"(?<!^)(?=[A-Z])", "_", value.__name__).lower()
            if name in found or not value.__dict__.get("__doc__"):
                raise ValueError(f"{name}: expected a unique name and a docstring with the mistake")
            found[name] = value
    return found
