"""The forest plot of a study: an order, a side of 1, and what an axis of any span shows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elt_ref.report.figure import FAINT, INK, MODEL_COLOURS
from elt_ref.study.declare import Figure
from elt_ref.study.forest import BESIDE, MOST_BESIDE, UNKNOWN, forest
from elt_ref.study.rows import Rows

FIGURE = Figure("ratio", x=None, x_title="loss, divided by ILSD's")
BLUE = MODEL_COLOURS[0]
positive = st.floats(1e-4, 1e4)


def row(model, mean, low, high, seeds=3):
    return {"measure": "ratio", "model": model, "mean": mean, "low": low, "high": high, "values": [mean] * seeds}


def plotted(*rows):
    """Return the axes of a plot, and by model its interval and its colour, or what stands in its place."""
    (axes,) = forest(FIGURE, Rows(rows)).axes
    names = [text.get_text() for text in axes.get_yticklabels()]
    found = {names[int(text.get_position()[1])]: text.get_text().strip() for text in axes.texts}
    bars = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_transform() == axes.transData]
    dots = {line.get_ydata()[0]: line for line in axes.lines if line.get_marker() == "o"}
    means = {row["model"]: row["mean"] for row in rows}
    for bar in bars:
        name, dot = names[int(bar.get_ydata()[0])], dots[bar.get_ydata()[0]]
        found[name] = (tuple(bar.get_xdata()), bar.get_color())
        assert dot.get_xdata()[0] == means.get(name, dot.get_xdata()[0])
        assert dot.get_color() == bar.get_color()
    return axes, {name: found[name] for name in names}


def test_the_least_is_above_and_a_side_of_1_is_seen():
    axes, found = plotted(row("worse", 1.2, 1.1, 1.3), row("same", 1.0, 0.9, 1.1), row("better", 0.8, 0.7, 0.9))
    assert found == {"better": ((0.7, 0.9), BLUE), "same": ((0.9, 1.1), FAINT), "worse": ((1.1, 1.3), BLUE)}
    assert [*found] == ["better", "same", "worse"]
    bottom, top = axes.get_ylim()
    assert top < 0 < bottom, "the first row is above"
    assert axes.get_xscale() == "log"
    assert axes.get_xlim() == pytest.approx((0.7 / BESIDE, 1.3 * BESIDE))
    (line,) = (line for line in axes.lines if line.get_color() == INK)
    assert list(line.get_xdata()) == [1, 1]
    assert "seeds: 3; blue" in axes.get_xlabel()


def test_two_seeds_decide_nothing():
    axes, found = plotted(row("better", 0.8, 0.7, 0.9, seeds=2))
    assert found == {"better": ((0.7, 0.9), FAINT)}
    assert "blue" not in axes.get_xlabel()


def test_1_is_inside_the_axis():
    axes, _ = plotted(row("worse", 2.2, 2.1, 2.3))
    low, high = axes.get_xlim()
    assert low < 1
    assert high > 2.3


def test_what_could_not_be_computed_is_said_and_endless_intervals_leave_the_axis():
    _, found = plotted(row("none", None, None, None), row("endless", 2.0, None, None), row("wide", 2.1, 1e-9, 1e9))
    everything = (1 / MOST_BESIDE, 2.1 * MOST_BESIDE)
    assert found == {
        "endless": (pytest.approx(everything), FAINT),
        "wide": (pytest.approx(everything), FAINT),
        "none": UNKNOWN,
    }
    assert plotted(row("none", None, None, None))[1] == {"none": UNKNOWN}


def test_a_name_is_drawn_as_it_is():
    _, found = plotted(row("$x$ of _y", 1.5, 1.2, 1.9))
    assert [*found] == [r"\$x\$ of _y"]


@given(st.lists(st.tuples(positive, st.floats(1, 3)), min_size=1, max_size=5))
def test_an_axis_has_from_two_to_a_dozen_numbers_that_differ(drawn):
    axes, _ = plotted(*(row(str(place), mean, mean / by, mean * by) for place, (mean, by) in enumerate(drawn)))
    low, high = axes.get_xlim()
    shown = [axes.xaxis.get_major_formatter()(tick) for tick in axes.get_xticks() if low <= tick <= high]
    assert 2 <= len(shown) <= 12
    assert len(set(shown)) == len(shown)
    assert not axes.get_xticks(minor=True).size
