"""Scalar reverse-mode differentiation: a number that remembers its operands and the slopes by them.

Every function of this package takes floats and Values alike. The gradient is the chain rule, read backwards:

    d result / d x = Σ over everything made of x:  d result / d made · d made / d x

The stop-gradient of E5 is `.data`: the number without its memory.

Functions called for every number or row are marked `no_type_check`: checking annotations in tests would take ten times
as long as the arithmetic.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias, Union, no_type_check

from specs.making.scalar.nesting import nested

_serials = itertools.count()


@no_type_check
class Value:
    """A float, its operands, and its partial derivative by each of them."""

    __slots__ = ("data", "made_of", "serial", "slope")

    def __init__(self, data: float, made_of: Sequence[tuple["Value", float]] = ()) -> None:
        self.data = data
        self.made_of = made_of
        self.slope = 0.0  # d result / d self, set by `differentiate`
        self.serial = next(_serials)  # larger than the serial of any operand

    def __neg__(self) -> "Value":
        return Value(-self.data, ((self, -1.0),))

    def __add__(self, other: "Number") -> "Value":
        return _made(self.data + data(other), (self, 1.0), (other, 1.0))

    def __sub__(self, other: "Number") -> "Value":
        return _made(self.data - data(other), (self, 1.0), (other, -1.0))

    def __rsub__(self, other: float) -> "Value":
        return _made(other - self.data, (self, -1.0))

    def __mul__(self, other: "Number") -> "Value":
        return _made(self.data * data(other), (self, data(other)), (other, self.data))

    def __truediv__(self, other: "Number") -> "Value":
        quotient = self.data / data(other)
        return _made(quotient, (self, 1 / data(other)), (other, -quotient / data(other)))

    def __rtruediv__(self, other: float) -> "Value":
        quotient = other / self.data
        return _made(quotient, (self, -quotient / self.data))

    __radd__ = __add__
    __rmul__ = __mul__


Number: TypeAlias = Union[float, int, Value]
Row: TypeAlias = Sequence[Number]
Rows: TypeAlias = Sequence[Row]


@no_type_check
def _made(result: float, *operands: tuple[Number, float]) -> Value:
    return Value(result, [(operand, partial) for operand, partial in operands if isinstance(operand, Value)])


@no_type_check
def data(x: Number) -> float:
    """Return the number alone: sg(x)."""
    return x.data if isinstance(x, Value) else float(x)


def differentiate(result: Value) -> None:
    """Set the `slope` of every Value behind `result`: d result / d value. Later Values are visited first."""
    reached, waiting = {result.serial: result}, [result]
    while waiting:
        for operand, _ in waiting.pop().made_of:
            if operand.serial not in reached:
                reached[operand.serial] = operand
                waiting.append(operand)
    result.slope = 1.0
    for serial in sorted(reached, reverse=True):
        value = reached[serial]
        for operand, partial in value.made_of:
            operand.slope += partial * value.slope


@no_type_check
def exp(x: Number) -> Number:
    """Return e^x, whose derivative is itself."""
    result = math.exp(data(x))
    return _made(result, (x, result)) if isinstance(x, Value) else result


@no_type_check
def log(x: Number) -> Number:
    """Return the natural logarithm, whose derivative is 1/x."""
    result = math.log(data(x))
    return _made(result, (x, 1 / data(x))) if isinstance(x, Value) else result


@no_type_check
def tanh(x: Number) -> Number:
    """Return tanh x, whose derivative is 1 − tanh² x."""
    result = math.tanh(data(x))
    return _made(result, (x, 1 - result * result)) if isinstance(x, Value) else result


@no_type_check
def sqrt(x: Number) -> Number:
    """Return √x, whose derivative is 1 / (2 √x)."""
    result = math.sqrt(data(x))
    return _made(result, (x, 0.5 / result)) if isinstance(x, Value) else result


@no_type_check
def dot(xs: Row, ys: Row) -> Number:
    """Return Σ x y as one node; its derivative by x is y, by y is x. The sum is rounded once."""
    left = [x.data if isinstance(x, Value) else x for x in xs]
    right = [y.data if isinstance(y, Value) else y for y in ys]
    result = math.fsum(x * y for x, y in zip(left, right, strict=True))
    made_of = [(x, y) for x, y in zip(xs, right, strict=True) if isinstance(x, Value)]
    made_of += [(y, x) for y, x in zip(ys, left, strict=True) if isinstance(y, Value)]
    return Value(result, made_of) if made_of else result


@no_type_check
def total(xs: Iterable[Number]) -> Number:
    """Return Σ x as one node; its derivative by each x is 1."""
    terms = list(xs)
    return dot(terms, [1.0] * len(terms))


def gradient(
    objective: Callable[[dict[str, list]], Number], parameters: dict[str, list]
) -> tuple[float, dict[str, list]]:
    """Return ``objective(parameters)`` and its derivative by every parameter, by name, in the nesting of each."""
    values = {name: nested(Value, parameter) for name, parameter in parameters.items()}
    result = objective(values)
    if isinstance(result, Value):
        differentiate(result)
    return data(result), {name: nested(lambda value: value.slope, parameter) for name, parameter in values.items()}
