"""The figure of a study, from its rows: a line a model with its interval, a panel a family; or a forest of ratios."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from elt_ref.report.figure import (
    FAINT,
    INK,
    MODEL_COLOURS,
    MODEL_MARKERS,
    Axes,
    honest_values,
    label,
    moved,
    new_figure,
    own_style,
    save_figure,
    tidy,
)
from elt_ref.report.figure import Figure as Canvas
from elt_ref.study.declare import Figure
from elt_ref.study.forest import forest
from elt_ref.study.rows import Rows

MOST_TICKS, FEW_PLACES = 8, 4
FADED = 0.5
MARGIN = 0.07
"""Room at each end of the horizontal axis, as a share of it."""
WIDTH, HEIGHT = 4.6, 4.0
"""Inches of a panel."""
LINES = ("-", "--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)))
APART, SPREAD = 3.0, 12.0
"""Points between intervals of neighbouring series at one place, and at most from the first to the last of them."""
MOST_END = 1.5
"""Ends of intervals within this factor of the least and the largest mean are inside the axes; others leave them."""


@own_style()
def draw_figure(path: Path, figure: Figure, rows: Sequence[Mapping[str, Any]], title: str) -> None:
    """Write the figure as a PNG; the bars are intervals, and values that are None are left out.

    Raises:
        RequestError: the file cannot be written.
    """
    shown = Rows(Rows(rows).matching({"measure": figure.measure}))
    if figure.x is None:
        canvas = forest(figure, shown)
    else:
        canvas = _lines(figure, figure.x, shown)
        _draw_fit(canvas.axes[0], Rows(rows))
        if len(shown.labels(figure.series)) > 1:
            _add_legend(canvas)
    canvas.suptitle(label(title), x=0.02, ha="left", fontsize=12, weight="bold", color=INK)
    save_figure(canvas, path)


def _lines(figure: Figure, x: str, shown: Rows) -> Canvas:
    """Return panels with a line a series over the label `x`."""
    panels = shown.labels(figure.panel) if figure.panel else [None]
    series = shown.labels(figure.series)
    canvas = new_figure(max(6.4, WIDTH * len(panels) + 1.2), HEIGHT)
    for place, panel in enumerate(panels):
        axes = canvas.add_subplot(1, len(panels), place + 1)
        where = {} if figure.panel is None else {figure.panel: panel}
        _draw_panel(axes, figure, x, Rows(shown.matching(where)), series)
        if figure.panel is not None:
            axes.set_title(label(str(panel)), fontsize=10, color=INK)
    return canvas


def _add_legend(canvas: Canvas) -> None:
    """Name the lines of all panels."""
    shown = {}
    for axes in canvas.axes:
        handles, names = axes.get_legend_handles_labels()
        shown |= dict(zip(names, handles, strict=True))
    canvas.legend(shown.values(), shown, loc="outside right center", fontsize=9, frameon=False, labelcolor=INK)


def _draw_panel(axes: Axes, figure: Figure, x: str, rows: Rows, series: Sequence[Any]) -> None:
    tidy(axes)
    values, ends, across = [], [], []
    apart = min(APART, SPREAD / max(1, len(series) - 1))
    for place, name in enumerate(series):
        mine = [row for row in rows.matching({figure.series: name}) if row["mean"] is not None]
        mine = [row for row in mine if isinstance(row[x], int | float)]
        if not mine:
            continue
        mean = [row["mean"] for row in mine]
        down = [_length(row["low"], row["mean"]) for row in mine]
        up = [_length(row["mean"], row["high"]) for row in mine]
        axes.errorbar(
            [row[x] for row in mine],
            mean,
            yerr=[down, up],
            marker=MODEL_MARKERS[(place + place // len(MODEL_COLOURS)) % len(MODEL_MARKERS)],
            color=MODEL_COLOURS[place % len(MODEL_COLOURS)],
            linestyle=LINES[place // len(MODEL_COLOURS) % len(LINES)],
            linewidth=1.8,
            alpha=FADED if figure.faded else 1.0,
            markersize=5,
            capsize=3,
            elinewidth=1,
            label=label(f"{figure.series} {name}" if isinstance(name, int) else str(name)),
            transform=moved(axes, apart * (place - (len(series) - 1) / 2)),
        )
        values += mean
        across += [row[x] for row in mine]
        ends += [end for row in mine for end in (row["low"], row["high"]) if end is not None]
    ticks = sorted(set(rows.labels(x)), key=str)
    if all(isinstance(tick, int) and tick <= MOST_TICKS for tick in ticks):
        axes.set_xticks(ticks)
    if figure.log_x:
        axes.set_xscale("log", base=2)
        if len(ticks) <= FEW_PLACES:
            axes.set_xticks(sorted(ticks))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.2g}" if value < 1 else f"{value:,g}")
    if across:  # matplotlib does not look at what was moved
        axes.set_xlim(*_room(min(across), max(across), logarithmic=figure.log_x))
    ends = [min(max(end, min(values) / MOST_END), MOST_END * max(values)) for end in ends]
    scale = honest_values(axes, [*values, *ends]) if values else ""
    axes.set_xlabel(label(figure.x_title), fontsize=10, color=INK)
    axes.set_ylabel(label(figure.y_title) + scale, fontsize=10, color=INK)
    axes.tick_params(colors=FAINT)


def _room(low: float, high: float, *, logarithmic: bool) -> tuple[float, float]:
    """Return the ends of an axis that leaves a little room beside its first and last place."""
    if logarithmic:
        factor = (high / low) ** MARGIN if high > low else 2.0
        return low / factor, high * factor
    room = MARGIN * (high - low) or 1.0
    return low - room, high + room


def _draw_fit(axes: Axes, rows: Rows) -> None:
    """Draw a · G^−b + c, the means over seeds, where the rows hold them."""
    found = [rows.matching({"measure": f"fit_{name}"}) for name in ("scale", "power", "offset")]
    numbers = [row[0]["mean"] for row in found if row and row[0]["mean"] is not None]
    if len(numbers) == len(found):
        scale, power, offset = numbers
        low, high = axes.get_xlim()
        costs = np.geomspace(max(low, 1e-3 * high), high, 100)
        words = f"fit: {scale:.3g} · G^−{power:.2g} + {offset:.3g}"
        axes.plot(costs, scale * costs**-power + offset, color=INK, linewidth=1.2, label=label(words))
        axes.set_xlim(low, high)


def _length(low: float | None, high: float | None) -> float:
    """Return the length of one side of an interval, whose low end is drawn from 0; none where it is endless."""
    return 0.0 if low is None or high is None else high - max(0.0, low)
