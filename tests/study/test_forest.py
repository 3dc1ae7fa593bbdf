"""The forest plot of a study: an order, a side of 1, and ends that may be endless."""

import pytest

from elt_ref.report.figure import FAINT, MODEL_COLOURS
from elt_ref.study.declare import Figure
from elt_ref.study.forest import BESIDE, MOST_BESIDE, forest
from elt_ref.study.rows import Rows

FIGURE = Figure("ratio", x=None, x_title="loss, divided by ILSD's")
BLUE = MODEL_COLOURS[0]


def row(model, mean, low, high):
    return {"measure": "ratio", "model": model, "mean": mean, "low": low, "high": high}


def plotted(*rows):
    """Return the axes of a plot, and by model its interval and its colour."""
    (axes,) = forest(FIGURE, Rows(rows)).axes
    names = [text.get_text() for text in axes.get_yticklabels()]
    bars = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_xdata()[0] != line.get_xdata()[1]]
    assert [bar.get_ydata()[0] for bar in bars] == [*range(len(names))]
    return axes, {name: (tuple(bar.get_xdata()), bar.get_color()) for name, bar in zip(names, bars, strict=True)}


def test_the_least_is_above_and_a_side_of_1_is_seen():
    axes, found = plotted(row("worse", 1.2, 1.1, 1.3), row("same", 1.0, 0.9, 1.1), row("better", 0.8, 0.7, 0.9))
    assert found == {"better": ((0.7, 0.9), BLUE), "same": ((0.9, 1.1), FAINT), "worse": ((1.1, 1.3), BLUE)}
    assert [*found] == ["better", "same", "worse"]
    bottom, top = axes.get_ylim()
    assert top < 0 < bottom, "the first row is above"
    assert axes.get_xlim() == pytest.approx((0.7 / BESIDE, 1.3 * BESIDE))


def test_1_is_inside_the_axis():
    axes, _ = plotted(row("worse", 2.2, 2.1, 2.3))
    low, high = axes.get_xlim()
    assert low < 1
    assert high > 2.3


def test_what_could_not_be_computed_is_left_out_and_endless_intervals_leave_the_axis():
    _, found = plotted(row("none", None, None, None), row("endless", 2.0, None, None), row("wide", 2.1, 1e-9, 1e9))
    everything = (1 / MOST_BESIDE, 2.1 * MOST_BESIDE)
    assert found == {"endless": (pytest.approx(everything), FAINT), "wide": (pytest.approx(everything), FAINT)}


def test_a_name_is_drawn_as_it_is():
    _, found = plotted(row("$x$ of _y", 1.5, 1.2, 1.9))
    assert [*found] == [r"\$x\$ of _y"]
