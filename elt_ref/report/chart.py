"""The chart of a chapter: Fréchet distance against the loops, inside the page, with a mark that follows the slider.

It takes its colours from the page, so that it suits light and dark, and its letters stay legible on a phone.
"""

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from elt_ref.report.figure import LOG_RATIO, spread
from elt_ref.report.markup import element
from elt_ref.report.results import Results, Row, columns, model_label

WIDTH, HEIGHT = 360.0, 230.0
"""Size of the drawing: as wide as a phone, where its letters are as large as the text's."""
LEFT, RIGHT, TOP, BOTTOM = 34.0, 66.0, 12.0, 34.0
"""Margins for the numbers, for the names of the lines, and for the loops below."""
MOST_LETTERS = 9
"""Letters of a name that fit into the right margin."""
APART = 13.0
"""Least distance of two names."""


def elasticity_chart(results: Results, real_distance: float, max_loops: int) -> Element:
    """Return the drawing of the distances of all models, as an SVG element of class ``elasticity``.

    Args:
        results: Checked rows per model, for consecutive loops.
        real_distance: Fréchet distance of held-out real pictures, a dashed line.
        max_loops: L_max; more loops than that are shaded.
    """
    loops = [row["loops"] for row in next(iter(results.values()))]
    distances = [row["frechet_distance"] for rows in results.values() for row in rows]
    scale = _Scale([*distances, real_distance])
    step = (WIDTH - LEFT - RIGHT) / max(1, len(loops) - 1)
    across = {count: LEFT + step * place for place, count in enumerate(loops)}
    ground, right = HEIGHT - BOTTOM, WIDTH - RIGHT

    drawing = element(
        "svg",
        class_="elasticity",
        viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
        role="img",
        aria_label=_words(results, loops, max_loops),
    )
    if (beyond := max(across[loops[0]], across.get(max_loops, right))) < right:
        drawing.append(_tag("rect", "beyond", x=beyond, y=TOP, width=right - beyond, height=ground - TOP))
    for value in scale.ticks:
        drawing.append(_tag("line", "rule", x1=LEFT, x2=right, y1=scale.y(value), y2=scale.y(value)))
        drawing.append(_text(f"{value:g}", "number", LEFT - 4, scale.y(value) + 3.5, anchor="end"))
    now = min(max(max_loops, loops[0]), loops[-1])
    for count in loops[:: math.ceil(len(loops) / 12)]:
        drawing.append(_text(str(count), "number", across[count], ground + 13, anchor="middle"))
    drawing.append(_text("loops L", "number", (LEFT + right) / 2, HEIGHT - 6, anchor="middle"))
    mark = _tag("line", "now", x1=across[now], x2=across[now], y1=TOP, y2=ground)
    mark.set("data-places", " ".join(f"{across[count]:.1f}" for count in loops))
    mark.set("data-first", str(loops[0]))
    drawing.append(mark)
    real = scale.y(real_distance)
    drawing.append(_tag("line", "real", x1=LEFT, x2=right, y1=real, y2=real))
    names = [("real", "number", real)]
    for number, (name, rows) in enumerate(results.items()):
        drawing.append(_line(rows, number, across, scale))
        names.append((_short(model_label(name)), f"name model-{number}", scale.y(rows[-1]["frechet_distance"])))
    heights = spread([height for *_, height in names], APART)
    for (words, kind, _), height in zip(names, heights, strict=True):
        drawing.append(_text(words, kind, right + 5, height + 3.5, anchor="start"))
    return drawing


def _short(name: str) -> str:
    """Return a name that fits beside the chart; the pictures below have it whole."""
    return name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…"


class _Scale:
    """The value axis: from 0, or logarithmic where the values differ by more than `LOG_RATIO`."""

    def __init__(self, values: Sequence[float]) -> None:
        low, high = min(values), max(values)
        self.logarithmic = low > 0 and high > LOG_RATIO * low
        self.low, self.high = (low / 1.2, high * 1.2) if self.logarithmic else (0.0, 1.08 * high or 1.0)

    def y(self, value: float) -> float:
        """Return the height of a value in the drawing."""
        low, high, here = self.low, self.high, value
        if self.logarithmic:
            low, high, here = math.log(low), math.log(high), math.log(value)
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (here - low) / (high - low)

    @property
    def ticks(self) -> list[float]:
        """Round numbers within the axis: powers of ten, or at most six steps of 1, 2 or 5."""
        if self.logarithmic:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            steps = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
        else:
            size = 10.0 ** math.floor(math.log10(self.high))
            unit = next(part * size for part in (0.2, 0.5, 1, 2) if self.high / (part * size) <= 6)
            steps = [unit * count for count in range(7)]
        return [step for step in steps if self.low <= step <= self.high]


def _line(rows: Sequence[Row], number: int, across: dict[int, float], scale: _Scale) -> Element:
    """Return a model's line with a point for each number of loops."""
    points = [(across[row["loops"]], scale.y(row["frechet_distance"])) for row in rows]
    path = _tag("polyline", "")
    path.set("points", " ".join(f"{x:.1f},{y:.1f}" for x, y in points))
    return element(
        "g", path, *(_tag("circle", "", cx=x, cy=y, r=2.6) for x, y in points), class_=f"line model-{number}"
    )


def _tag(tag: str, kind: str, **places: float) -> Element:
    node = element(tag, **({"class_": kind} if kind else {}))
    for name, value in places.items():
        node.set(name, f"{value:.1f}")
    return node


def _text(words: str, kind: str, x: float, y: float, *, anchor: str) -> Element:
    node = element("text", words, class_=kind)
    for name, value in {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor}.items():
        node.set(name, value)
    return node


def _words(results: Results, loops: Sequence[int], max_loops: int) -> str:
    """Return the chart for those who do not see it: each model's distance at its ends and at L_max."""
    distance = columns(results)["frechet_distance"]
    shown = [count for count in dict.fromkeys((loops[0], max_loops, loops[-1])) if count in loops]
    parts = []
    for name, rows in results.items():
        values = {row["loops"]: distance.show(row) for row in rows}
        parts.append(f"{model_label(name)}: " + ", ".join(f"{values[count]} at L = {count}" for count in shown))
    return f"Fréchet distance against the loops. {'. '.join(parts)}. The table of all results holds every number."
