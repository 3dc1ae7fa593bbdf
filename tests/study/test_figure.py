"""The figure of a study: what can be told apart, and where its axis has numbers."""

import pytest

from elt_ref.study import figure as drawing
from elt_ref.study.declare import Figure

LOSS = Figure("held_out_loss", x="steps", x_title="training steps", y_title="held-out loss", log_x=True)


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Return the canvas of a figure of so many models at these places, and of further rows."""

    def draw(models, places, *more):
        kept = []
        monkeypatch.setattr(drawing, "save_figure", lambda canvas, _path: kept.append(canvas))
        rows = [
            {"measure": "held_out_loss", "model": f"m{model}", "steps": place, "mean": 1.0, "low": 0.9, "high": 1.1}
            for model in range(models)
            for place in places
        ]
        drawing.draw_figure(tmp_path / "figure.png", LOSS, [*rows, *more], "the title")
        assert kept[0].get_suptitle() == "the title"
        return kept[0]

    return draw


@pytest.mark.parametrize(("places", "words"), [((300, 600, 1200), ["300", "600", "1,200"]), ((0.1, 1), ["0.1", "1"])])
def test_few_places_are_the_ticks_of_a_logarithmic_axis(drawn, places, words):
    (axes,) = drawn(2, places).axes
    assert axes.get_xticks().tolist() == list(places)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == words


def test_small_numbers_of_an_axis_are_short(drawn):
    (axes,) = drawn(1, (0.0191, 0.05, 0.1, 0.4, 0.974)).axes
    texts = axes.xaxis.get_major_formatter().format_ticks([0.015625, 0.03125, 0.5, 2])
    assert texts == ["0.016", "0.031", "0.5", "2"]


def test_many_models_have_looks_of_their_own(drawn):
    lines = [container.lines[0] for container in drawn(17, (300, 600)).axes[0].containers]
    looks = {(line.get_color(), line.get_marker(), line._dash_pattern and str(line._dash_pattern)) for line in lines}
    assert len(lines) == len(looks) == 17


def names(canvas):
    return [text.get_text() for legend in canvas.legends for text in legend.get_texts()]


def test_a_line_beside_a_model_without_a_mean_has_its_name(drawn):
    unknown = {"measure": "held_out_loss", "model": "diverged", "steps": 300, "mean": None, "low": None, "high": None}
    assert names(drawn(2, (300, 600))) == ["m0", "m1"]
    assert names(drawn(1, (300, 600), unknown)) == ["m0"]
    assert names(drawn(1, (300, 600))) == [], "one model needs no name"


def test_a_fit_is_drawn_with_its_numbers(drawn):
    fit = [{"measure": f"fit_{name}", "mean": mean} for name, mean in (("scale", 2.0), ("power", 1.0), ("offset", 3.0))]
    canvas = drawn(2, (300, 600), *fit)
    assert sorted(names(canvas)) == ["fit: 2 · G^−1 + 3", "m0", "m1"]
    (line,) = (line for line in canvas.axes[0].lines if len(line.get_xdata()) > 2)
    costs, values = line.get_data()
    assert values == pytest.approx(2 / costs + 3)
