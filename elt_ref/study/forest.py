"""A forest plot: ratios to one model below one another, each with its interval, the least above."""

from collections.abc import Mapping
from typing import Any

from elt_ref.measure.interval import LEVEL, MIN_SEEDS
from elt_ref.report.figure import (
    FAINT,
    INK,
    MODEL_COLOURS,
    LogLocator,
    MaxNLocator,
    NullLocator,
    label,
    new_figure,
    tidy,
)
from elt_ref.report.figure import Figure as Canvas
from elt_ref.study.declare import Figure
from elt_ref.study.rows import Rows

WIDTH, ROW, FRAME = 8.0, 0.27, 1.35
"""Inches: the width, the height of a row, and what is above and below the rows."""
BESIDE = 1.08
"""The axis ends at this factor from the farthest end of an interval, and from 1."""
MOST_BESIDE = 3.0
"""Intervals end inside the axis up to this factor from the farthest mean; longer ones leave it."""
NARROW, WIDE = 2.0, 50.0
"""An axis whose ends have at most the first ratio has even ticks; up to the second they are 1, 1.2, 1.5, 2, 3, 5 and 8
times powers of ten, beyond it powers alone."""
UNKNOWN = "could not be computed"


def forest(figure: Figure, shown: Rows) -> Canvas:
    """Return the plot of these rows; those without a mean are below, with a remark."""
    rows = sorted(shown.rows, key=lambda row: (row["mean"] is None, row["mean"] or 0.0))
    canvas = new_figure(WIDTH, FRAME + ROW * max(1, len(rows)))
    axes = canvas.add_subplot()
    tidy(axes)
    means = [1.0, *(row["mean"] for row in rows if row["mean"] is not None)]
    lowest, highest = min(means) / MOST_BESIDE, max(means) * MOST_BESIDE
    ends = []
    for place, row in enumerate(rows):
        if row["mean"] is None:
            axes.text(1, place, f"  {UNKNOWN}", va="center", fontsize=9, color=FAINT)
            continue
        low, high = (max(row["low"] or lowest, lowest), min(row["high"] or highest, highest))
        colour = MODEL_COLOURS[0] if one_sided(row) else FAINT
        axes.plot([low, high], [place, place], color=colour, linewidth=1.8)
        axes.plot(row["mean"], place, "o", markersize=4.5, color=colour)
        ends += [low, high]
    axes.axvline(1, color=INK, linewidth=1, zorder=0)
    low, high = min([*means, *ends]) / BESIDE, max([*means, *ends]) * BESIDE
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    powers = LogLocator(subs=(1, 1.2, 1.5, 2, 3, 5, 8) if high <= WIDE * low else (1,))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]) if high <= NARROW * low else powers)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylim(max(1, len(rows)) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), [label(str(row[figure.series])) for row in rows])
    axes.tick_params(axis="y", length=0)
    seeds = max((len(row["values"]) for row in rows), default=0)
    blue = "; blue: on one side of 1" if seeds >= MIN_SEEDS else ""
    told = f"{LEVEL:.0%} intervals, number of seeds: {seeds}{blue}"
    axes.set_xlabel(f"{label(figure.x_title)}, log scale\n{told}", fontsize=10, color=INK)
    return canvas


def one_sided(row: Mapping[str, Any]) -> bool:
    """Return whether the whole interval is on one side of 1, over seeds enough to decide anything."""
    low, high = row["low"], row["high"]
    beside = (low is not None and low > 1) or (high is not None and high < 1)
    return beside and len(row["values"]) >= MIN_SEEDS
