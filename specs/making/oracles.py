"""Which pair of oracles notices an error in what they share: ``python -m specs.making.oracles``.

An answer is published if two oracles agree. The package is one; the second is the pages where they reach, or scalar
Python with its own differentiation. An error is planted in a derivative of autograd, in one of the package's own, or in
a helper that package and pages both call; then every case is answered again. The table counts the cases in which the
package, the pages or both are wrong, and in how many of those each pair still agrees: these would be published wrong.
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import autograd.numpy as anp
import numpy as np
from autograd.core import primitive_vjps

from elt_ref.conformance.backend import Unsupported
from elt_ref.conformance.case import Vector, arguments, read_vectors
from elt_ref.conformance.compare import difference, mismatch
from elt_ref.conformance.paper import PaperBackend
from elt_ref.conformance.reference import ReferenceBackend
from specs.making.scalar import ScalarBackend

FACTOR = 1.001
"""A planted error multiplies by this."""
AGREE = 1e-9
"""Largest relative difference at which two oracles agree."""

Answer = Mapping[str, np.ndarray]


class Planted(NamedTuple):
    """An error, and what it makes wrong."""

    name: str
    where: str
    plant: Callable[[], Any]
    """A context in which the error is there."""


@contextmanager
def _in_derivative(primitive: Any) -> Iterator[None]:
    """Make every derivative of one of autograd's primitives a little too large."""
    right = primitive_vjps[primitive]

    def maker(*asked: Any) -> Any:
        back = right(*asked)
        return lambda g: tuple(FACTOR * each for each in back(g))

    primitive_vjps[primitive] = maker
    try:
        yield
    finally:
        primitive_vjps[primitive] = right


@contextmanager
def _in_function(module: Any, name: str) -> Iterator[None]:
    """Make the result of a NumPy function a little too large."""
    right = getattr(module, name)
    setattr(module, name, functools.wraps(right)(lambda *asked, **named: right(*asked, **named) * FACTOR))
    try:
        yield
    finally:
        setattr(module, name, right)


DERIVATIVES = ("add", "subtract", "multiply", "divide", "tanh", "exp", "log", "sqrt", "sum", "tensordot", "matmul")
DERIVATIVES += ("reshape", "swapaxes", "transpose", "concatenate", "split", "where", "power", "negative")
FUNCTIONS = ("exp", "log", "tanh", "sqrt", "sin", "cos", "tan", "cumsum", "tensordot", "einsum", "linspace")


def planted() -> Iterator[Planted]:
    """Yield every error."""
    for name in DERIVATIVES:
        if (primitive := getattr(anp, name, None)) in primitive_vjps:
            yield Planted(name, "a derivative of autograd", functools.partial(_in_derivative, primitive))
    for name, primitive in sorted((name, each) for each in primitive_vjps if (name := _own_name(each))):
        yield Planted(name, "a derivative of the package", functools.partial(_in_derivative, primitive))
    for name in FUNCTIONS:
        yield Planted(name, "a function of NumPy", functools.partial(_in_function, np, name))


def _own_name(primitive: Any) -> str:
    """Return the name of an op of the package; empty for autograd's primitives."""
    function = getattr(primitive, "fun", primitive)
    if not function.__module__.startswith("elt_ref."):
        return ""
    if function.__name__ != "traced":
        return function.__name__
    return inspect.getclosurevars(primitive_vjps[primitive]).nonlocals["name"]


def answers(backend: Any, vectors: list[Vector]) -> list[Answer | None]:
    """Return a backend's answer to every case; None where it has none."""
    found: list[Answer | None] = []
    for vector in vectors:
        stored = vector.stored
        try:
            asked = arguments(stored.settings, vector.inputs, "float64")
            answer = getattr(backend, stored.operation)(**asked)
        except (Unsupported, AttributeError):
            found.append(None)
        except Exception:  # noqa: BLE001  an error in shared code may raise: it is noticed
            found.append({})
        else:
            found.append({name: np.asarray(value) for name, value in answer.items()})
    return found


def agree(vector: Vector, one: Answer | None, other: Answer | None) -> bool | None:
    """Return whether two answers agree; None if one is missing."""
    if one is None or other is None:
        return None
    if mismatch(one, other, None) is not None:
        return False
    return difference(vector.stored.operation, vector.stored.settings, one, other)[0] <= AGREE


def main() -> None:
    """Print the table."""
    vectors = [
        each for each in read_vectors() if each.stored.choice is None and each.stored.operation != "student_draws"
    ]
    scalar = answers(ScalarBackend(), vectors)
    reached = sum(each is not None for each in answers(PaperBackend(), vectors))
    print(f"{len(vectors)} cases; the pages reach {reached}, scalar Python {sum(each is not None for each in scalar)}")  # noqa: T201
    print("| error in | where | wrong answers | pages agree | scalar agrees |\n|---|---|---|---|---|")  # noqa: T201
    for error in planted():
        with error.plant(), np.errstate(all="ignore"):
            package, pages = answers(ReferenceBackend(), vectors), answers(PaperBackend(), vectors)
        wrong = [place for place, vector in enumerate(vectors) if not agree(vector, package[place], vector.answers)]
        paged = sum(agree(vectors[place], package[place], pages[place]) is not False for place in wrong)
        scaled = sum(agree(vectors[place], package[place], scalar[place]) is not False for place in wrong)
        print(f"| `{error.name}` | {error.where} | {len(wrong)} | {paged} | {scaled} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
