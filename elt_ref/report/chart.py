"""The chart of a chapter: Fréchet distance against the loops, with a mark that follows the slider."""

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from elt_ref.report.axes import LETTER, WIDTH, Scale, path, tag, text
from elt_ref.report.figure import spread
from elt_ref.report.markup import element
from elt_ref.report.results import Results, Row, columns, drawn_values, ends, model_label

HEIGHT = 230.0
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
    ground, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    scale = Scale([*drawn_values(results, "frechet_distance"), real_distance], TOP, ground)
    step = (right - LEFT) / max(1, len(loops) - 1)
    across = {count: LEFT + step * place for place, count in enumerate(loops)}

    drawing = element(
        "svg",
        class_="elasticity",
        viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
        role="img",
        aria_label=_words(results, loops, max_loops),
    )
    if (beyond := max(across[loops[0]], across.get(max_loops, right))) < right:
        drawing.append(tag("rect", "beyond", x=beyond, y=TOP, width=right - beyond, height=ground - TOP))
    drawing.extend(scale.rules(LEFT, right))
    now = min(max(max_loops, loops[0]), loops[-1])
    for count in loops[:: math.ceil(len(loops) / 12)]:
        drawing.append(text(str(count), "number", across[count], ground + 13, anchor="middle"))
    drawing.append(text("loops L", "number", (LEFT + right) / 2, HEIGHT - 6, anchor="middle"))
    mark = tag("line", "now", x1=across[now], x2=across[now], y1=TOP, y2=ground)
    mark.set("data-places", " ".join(f"{across[count]:.1f}" for count in loops))
    mark.set("data-first", str(loops[0]))
    drawing.append(mark)
    real = scale.y(real_distance)
    drawing.append(tag("line", "real", x1=LEFT, x2=right, y1=real, y2=real))
    names = [("real", "number", real)]
    for number, (name, rows) in enumerate(results.items()):
        drawing.append(_line(rows, number, across, scale))
        names.append((_short(model_label(name)), f"name model-{number}", scale.y(rows[-1]["frechet_distance"])))
    heights = spread([height for *_, height in names], APART)
    for (words, kind, _), height in zip(names, heights, strict=True):
        drawing.append(text(words, kind, right + 5, height + LETTER, anchor="start"))
    return drawing


def _short(name: str) -> str:
    """Return a name that fits beside the chart; the pictures below have it whole."""
    return name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…"


def _line(rows: Sequence[Row], number: int, across: dict[int, float], scale: Scale) -> Element:
    """Return a model's line with a point for each number of loops, and a band where its rows hold intervals."""
    points = [(across[row["loops"]], scale.y(row["frechet_distance"])) for row in rows]
    parts = [path("", "polyline", points), *(tag("circle", "", cx=x, cy=y, r=2.6) for x, y in points)]
    if any("intervals" in row for row in rows):
        limits = [(across[row["loops"]], *ends(row, "frechet_distance")) for row in rows]
        edge = [(x, scale.y(low)) for x, low, _ in limits] + [(x, scale.y(high)) for x, _, high in reversed(limits)]
        parts.insert(0, path("band", "polygon", edge))
    return element("g", *parts, class_=f"line model-{number}")


def _words(results: Results, loops: Sequence[int], max_loops: int) -> str:
    """Return the chart for those who do not see it: each model's distance at its ends and at L_max."""
    distance = columns(results)["frechet_distance"]
    shown = [count for count in dict.fromkeys((loops[0], max_loops, loops[-1])) if count in loops]
    parts = []
    for name, rows in results.items():
        values = {row["loops"]: distance.show(row) for row in rows}
        parts.append(f"{model_label(name)}: " + ", ".join(f"{values[count]} at L = {count}" for count in shown))
    return f"Fréchet distance against the loops. {'. '.join(parts)}. The table of all results holds every number."
