"""A forest plot: ratios to one model below one another, each with its interval, the least above."""

from elt_ref.report.figure import (
    FAINT,
    INK,
    MODEL_COLOURS,
    LogLocator,
    NullFormatter,
    label,
    new_figure,
    tidy,
)
from elt_ref.report.figure import Figure as Canvas
from elt_ref.study.declare import Figure
from elt_ref.study.rows import Rows

WIDTH, ROW, FRAME = 8.0, 0.27, 1.2
"""Inches: the width, the height of a row, and what is above and below the rows."""
BESIDE = 1.08
"""The axis ends at this factor from the farthest end of an interval, and from 1."""
MOST_BESIDE = 3.0
"""Intervals end inside the axis up to this factor from the farthest mean; longer ones leave it."""
TICKS = (1, 1.2, 1.5, 2, 3, 5, 8, 9)
"""Numbers at the axis, times powers of ten."""

BLUE = "blue: the whole interval is on one side of 1"


def forest(figure: Figure, shown: Rows) -> Canvas:
    """Return the plot of these rows; those without a mean are left out."""
    rows = sorted((row for row in shown.rows if row["mean"] is not None), key=lambda row: row["mean"])
    canvas = new_figure(WIDTH, FRAME + ROW * max(1, len(rows)))
    axes = canvas.add_subplot()
    tidy(axes)
    means = [1.0, *(row["mean"] for row in rows)]
    lowest, highest = min(means) / MOST_BESIDE, max(means) * MOST_BESIDE
    ends = []
    for place, row in enumerate(rows):
        low, high = (max(row["low"] or lowest, lowest), min(row["high"] or highest, highest))
        one_side = low > 1 or high < 1
        axes.plot([low, high], [place, place], color=MODEL_COLOURS[0] if one_side else FAINT, linewidth=1.6)
        axes.plot(row["mean"], place, "o", markersize=6, color=MODEL_COLOURS[0] if one_side else FAINT)
        ends += [low, high]
    axes.axvline(1, color=INK, linewidth=1, zorder=0)
    low, high = min([*means, *ends]) / BESIDE, max([*means, *ends]) * BESIDE
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(LogLocator(subs=TICKS))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(max(1, len(rows)) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), [label(str(row[figure.series])) for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"{label(figure.x_title)}, log scale\n{BLUE}", fontsize=10, color=INK)
    return canvas
