"""Charts inside the page as SVG: they take their colours from the page, so they suit light and dark.

A chart is as wide as a phone, where its letters are as large as the text's.
"""

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from elt_ref.report.figure import LOG_RATIO
from elt_ref.report.markup import element

WIDTH = 360.0
LETTER = 3.5
"""Distance of a line of text below the middle of its letters."""


class Scale:
    """A value axis from `low` (0 at the `ground`) upwards; logarithmic where the values differ by `LOG_RATIO`."""

    def __init__(self, values: Sequence[float], top: float, ground: float) -> None:
        low, high = min(values), max(values)
        self.top, self.ground = top, ground
        self.logarithmic = low > 0 and high > LOG_RATIO * low
        self.low, self.high = (low / 1.2, high * 1.2) if self.logarithmic else (0.0, 1.08 * high or 1.0)

    def y(self, value: float) -> float:
        """Return the height of a value in the drawing; one beyond an end of the axis stays at that end."""
        low, high, here = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, here = math.log(low), math.log(high), math.log(here)
        return self.ground - (self.ground - self.top) * (here - low) / (high - low)

    @property
    def ticks(self) -> list[float]:
        """Round numbers within the axis: powers of ten, or at most six steps of 1, 2 or 5."""
        if self.logarithmic:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            steps = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
        else:
            steps = [round_step(self.high) * count for count in range(7)]
        return [step for step in steps if self.low <= step <= self.high]

    def rules(self, left: float, right: float) -> list[Element]:
        """Return a line and a number for each tick, between two edges."""
        drawn = []
        for value in self.ticks:
            drawn.append(tag("line", "rule", x1=left, x2=right, y1=self.y(value), y2=self.y(value)))
            drawn.append(text(f"{value:g}", "number", left - 4, self.y(value) + LETTER, anchor="end"))
        return drawn


def round_step(length: float) -> float:
    """Return the smallest of 1, 2 or 5 times a power of ten of which at most six steps fit into `length`."""
    size = 10.0 ** math.floor(math.log10(length))
    return next(part * size for part in (0.2, 0.5, 1, 2) if length / (part * size) <= 6)


def tag(name: str, kind: str, **places: float) -> Element:
    """Return an SVG element of a class, with its places in tenths."""
    node = element(name, **({"class_": kind} if kind else {}))
    for attribute, value in places.items():
        node.set(attribute, f"{value:.1f}")
    return node


def text(words: str, kind: str, x: float, y: float, *, anchor: str) -> Element:
    """Return words at (x, y); `anchor` is the end of them that stands there."""
    node = element("text", words, class_=kind)
    for name, value in {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor}.items():
        node.set(name, value)
    return node


def path(kind: str, shape: str, points: Sequence[tuple[float, float]]) -> Element:
    """Return a line (``polyline``) or an area (``polygon``) through points."""
    node = tag(shape, kind)
    node.set("points", " ".join(f"{x:.1f},{y:.1f}" for x, y in points))
    return node
