"""Every figure is a valid PNG of a sane size, and its content follows the data."""

import re
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from PIL import Image

import elt_ref
from elt_ref.errors import RequestError
from elt_ref.report import elasticity, loss_curves
from elt_ref.report.clips import film_strips
from elt_ref.report.elasticity import draw_elasticity
from elt_ref.report.figure import MODEL_COLOURS, SHADE, spread
from elt_ref.report.loss_curves import draw_loss_curves, smooth
from elt_ref.report.pictures import GAP, enlarge, sheet, to_pixels
from elt_ref.report.samples import draw_grid, draw_samples
from elt_ref.report.trajectory import MASK_GROUND, MASK_STRIPE, Trajectory, draw_trajectory


def read(path):
    with Image.open(path) as image:
        image.verify()
    return np.asarray(Image.open(path).convert("RGB"))


def contains(pixels, part):
    """Return whether `part` appears in `pixels`, pixel for pixel."""
    height, width, _ = part.shape
    first_row = part[0, :, :3].tobytes()
    for top in range(pixels.shape[0] - height + 1):
        left, rest = divmod(pixels[top].tobytes().find(first_row), 3)
        window = pixels[top : top + height, left : left + width]
        if left >= 0 and rest == 0 and np.array_equal(window, part[..., :3]):
            return True
    return False


def count_colour(pixels, colour):
    return int((pixels == np.rint(np.array(to_rgb(colour)) * 255)).all(axis=-1).sum())


def drawn(monkeypatch, module, draw):
    """Return the figure that `draw` would write."""
    kept = []
    monkeypatch.setattr(module, "save_figure", lambda figure, _: kept.append(figure))
    draw()
    return kept[0]


class TestGrid:
    def test_is_the_pictures_and_nothing_else(self, tmp_path):
        pictures = np.random.default_rng(2).random((5, 8, 6, 3))
        draw_grid(tmp_path / "grid.png", pictures, columns=2, scale=3)
        pixels = read(tmp_path / "grid.png")
        assert pixels.shape == (3 * (24 + GAP) + GAP, 2 * (18 + GAP) + GAP, 3)
        np.testing.assert_array_equal(pixels, sheet(pictures, 2, 3)[..., :3])

    def test_chooses_columns_and_scale(self, tmp_path):
        draw_grid(tmp_path / "grid.png", np.zeros((10, 8, 8, 1)))
        assert read(tmp_path / "grid.png").shape == (3 * (64 + GAP) + GAP, 4 * (64 + GAP) + GAP, 3)

    @pytest.mark.parametrize("choice", [{"columns": 0}, {"scale": 0}, {"scale": -2}])
    def test_refuses_no_columns_and_no_scale(self, tmp_path, choice):
        with pytest.raises(RequestError, match="at least 1"):
            draw_grid(tmp_path / "grid.png", np.zeros((1, 8, 8, 1)), **choice)

    def test_refuses_a_lone_picture(self, tmp_path):
        with pytest.raises(RequestError, match=r"got the shape \(8, 8, 1\)"):
            draw_grid(tmp_path / "grid.png", np.zeros((8, 8, 1)))


class TestSamples:
    def test_holds_every_picture_pixel_for_pixel(self, tmp_path, pictures):
        draw_samples(tmp_path / "samples.png", pictures, 4, labels=list("0123456789"))
        pixels = read(tmp_path / "samples.png")
        assert 1000 < pixels.shape[1] < 2000
        assert 500 < pixels.shape[0] < 1000
        for by_loops in pictures.values():
            for batch in by_loops.values():
                assert contains(pixels, enlarge(to_pixels(batch[0]), 8))
                assert contains(pixels, enlarge(to_pixels(batch[9]), 8))

    def test_shows_clips_as_film_strips(self, tmp_path, pictures):
        draw = np.random.default_rng(2)
        clips = {name: {loops: draw.random((10, 4, 8, 8, 1)) for loops in (1, 2)} for name in pictures}
        draw_samples(tmp_path / "samples.png", clips, 2, labels=list("0123456789"))
        pixels = read(tmp_path / "samples.png")
        for by_loops in clips.values():
            for batch in by_loops.values():
                shown = [contains(pixels, enlarge(to_pixels(strip), 7)) for strip in film_strips(batch)]
                assert shown == [True] * 5 + [False] * 5

    def test_shades_only_what_lies_beyond_training(self, tmp_path, pictures):
        shaded = {}
        for max_loops in (4, 6, 8):
            draw_samples(tmp_path / "samples.png", pictures, max_loops)
            shaded[max_loops] = count_colour(read(tmp_path / "samples.png"), SHADE)
        assert shaded[4] > shaded[6] > shaded[8] == 0
        assert shaded[4] == pytest.approx(2 * shaded[6], rel=0.05)

    def test_is_a_function_of_its_arguments(self, tmp_path, pictures):
        draw_samples(tmp_path / "one.png", pictures, 4)
        draw_samples(tmp_path / "two.png", pictures, 4)
        assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()

    def test_refuses_labels_that_do_not_fit(self, tmp_path, pictures):
        with pytest.raises(RequestError, match="labels: expected one per picture, 10, got 2"):
            draw_samples(tmp_path / "samples.png", pictures, 4, labels=["a", "b"])


class TestElasticity:
    def test_draws_both_models(self, tmp_path, results):
        draw_elasticity(tmp_path / "elasticity.png", results, 0.42, 4)
        pixels = read(tmp_path / "elasticity.png")
        assert pixels.shape == (992, 1280, 3)
        assert min(count_colour(pixels, colour) for colour in MODEL_COLOURS[:2]) > 500

    def figure(self, monkeypatch, tmp_path, results, max_loops=4):
        return drawn(
            monkeypatch, elasticity, lambda: draw_elasticity(tmp_path / "elasticity.png", results, 0.42, max_loops)
        )

    def test_lines_are_the_numbers(self, monkeypatch, tmp_path, results):
        distances, accuracies = self.figure(monkeypatch, tmp_path, results).axes
        for rows, line, below in zip(results.values(), distances.lines, accuracies.lines, strict=False):
            np.testing.assert_array_equal(line.get_xdata(), range(1, 9))
            np.testing.assert_array_equal(line.get_ydata(), [row["frechet_distance"] for row in rows])
            np.testing.assert_array_equal(below.get_ydata(), [row["label_accuracy"] for row in rows])
        assert list(distances.lines[2].get_ydata()) == [0.42, 0.42]

    def test_a_model_of_several_seeds_has_a_band_and_no_other(self, monkeypatch, tmp_path, results, with_seeds):
        plain = self.figure(monkeypatch, tmp_path, results).axes
        banded = self.figure(monkeypatch, tmp_path, {**results, "ilsd": with_seeds(results["ilsd"])}).axes
        bands = [axes.collections for axes in banded]
        assert [[len(axes.collections) for axes in both] for both in (plain, banded)] == [[0, 0], [1, 1]]
        ((left, low), (right, high)) = bands[0][0].get_datalim(banded[0].transData).get_points()
        assert (left, right) == (1, 8)
        np.testing.assert_allclose([low, high], [2.2 * 0.9, 3.2 * 1.1])
        assert "seeds" in banded[1].get_xlabel()
        assert "seeds" not in plain[1].get_xlabel()

    def test_flops_stand_above_their_loops(self, monkeypatch, tmp_path, results):
        distances, _ = self.figure(monkeypatch, tmp_path, results).axes
        (top,) = distances.child_axes
        assert top.get_xlabel() == "MFLOPs per sample"
        assert list(top.get_xticks()) == list(range(1, 9))
        costs = [float(label.get_text()) for label in top.get_xticklabels()]
        np.testing.assert_allclose(np.diff(costs), 6.13, atol=0.011)

    def test_training_is_marked_where_it_was(self, monkeypatch, tmp_path, results):
        distances, _ = self.figure(monkeypatch, tmp_path, results, max_loops=6).axes
        assert list(distances.lines[3].get_xdata()) == [6, 6]
        assert "trained with Lₘₐₓ = 6 loops" in [text.get_text() for text in distances.texts]

    def test_the_axis_starts_at_zero_or_says_that_it_is_logarithmic(self, monkeypatch, tmp_path, results):
        distances, accuracies = self.figure(monkeypatch, tmp_path, results).axes
        assert (distances.get_yscale(), distances.get_ylim()[0]) == ("linear", 0)
        assert accuracies.get_ylim() == (-0.04, 1.04)
        results["vanilla"][7]["frechet_distance"] = 300.0
        distances, _ = self.figure(monkeypatch, tmp_path, results).axes
        assert distances.get_yscale() == "log"
        assert "log scale" in distances.get_ylabel()

    @pytest.mark.parametrize("loops", [1, 2, 24])
    def test_few_and_many_loops(self, monkeypatch, tmp_path, results, loops):
        rows = [
            {**results["ilsd"][0], "loops": count, "gflops_per_sample": float(count)} for count in range(1, loops + 1)
        ]
        max_loops = (loops + 1) // 2
        draw_elasticity(tmp_path / "elasticity.png", {"ilsd": rows, "vanilla": rows}, 0.42, max_loops)
        assert read(tmp_path / "elasticity.png").shape == (992, 1280, 3)
        distances, _ = self.figure(monkeypatch, tmp_path, {"ilsd": rows}, max_loops).axes
        assert max_loops in distances.get_xticks()
        assert len(distances.get_xticks()) <= 12

    def test_refuses_what_it_cannot_draw(self, tmp_path, results):
        with pytest.raises(RequestError, match="at least one row"):
            draw_elasticity(tmp_path / "elasticity.png", {}, 0.42, 4)
        with pytest.raises(RequestError, match=r"real_distance: .*got nan"):
            draw_elasticity(tmp_path / "elasticity.png", results, float("nan"), 4)
        with pytest.raises(RequestError, match="can be written to"):
            draw_elasticity(tmp_path / "missing" / "elasticity.png", results, 0.42, 4)


class TestTrajectory:
    def test_shows_answers_and_what_was_kept(self, tmp_path):
        draw = np.random.default_rng(3)
        answers, kept = draw.random((4, 3, 8, 8, 1)), draw.random((4, 8, 8, 1))
        draw_trajectory(tmp_path / "trajectory.png", Trajectory(answers, kept, label="class $3$"))
        pixels = read(tmp_path / "trajectory.png")
        assert 700 <= pixels.shape[1] < 1500
        for picture in [*answers.reshape(-1, 8, 8, 1), *kept]:
            assert contains(pixels, enlarge(to_pixels(picture), 9))
        assert count_colour(pixels, np.array(MASK_STRIPE[:3]) / 255) == 0

    def test_shows_clips_as_film_strips(self, tmp_path):
        draw = np.random.default_rng(3)
        answers, kept = draw.random((2, 3, 4, 8, 8, 1)), draw.random((2, 4, 8, 8, 1))
        draw_trajectory(tmp_path / "trajectory.png", Trajectory(answers, kept, label="class 3"))
        pixels = read(tmp_path / "trajectory.png")
        for clip in [*answers.reshape(-1, 4, 8, 8, 1), *kept]:
            assert contains(pixels, enlarge(to_pixels(film_strips(clip)), 8))

    def test_hatches_the_masked_pixels_and_no_others(self, tmp_path):
        answers, kept = np.zeros((1, 1, 8, 8, 1)), np.zeros((1, 8, 8, 1))
        areas = []
        for masked_rows in (0, 2, 4):
            kept[0, :masked_rows] = np.nan
            draw_trajectory(tmp_path / "trajectory.png", Trajectory(answers, kept, label="class 3"))
            pixels = read(tmp_path / "trajectory.png")
            areas.append(sum(count_colour(pixels, np.array(mask[:3]) / 255) for mask in (MASK_GROUND, MASK_STRIPE)))
        legend = areas[1] - 2 * 8 * 81
        assert areas[0] == 0
        assert 500 < legend == areas[2] - 4 * 8 * 81

    def test_long_samplers_are_thinned_to_the_first_the_last_and_some_between(self, tmp_path):
        answers = np.random.default_rng(4).random((40, 2, 8, 8, 1))
        draw_trajectory(tmp_path / "trajectory.png", Trajectory(answers, answers[:, 0], label="class 3"))
        pixels = read(tmp_path / "trajectory.png")
        assert pixels.shape[0] < 1000
        shown = [contains(pixels, enlarge(to_pixels(answer), 9)) for answer in answers[:, 1]]
        assert (sum(shown), shown[0], shown[-1]) == (8, True, True)

    def test_refuses_arrays_that_do_not_fit(self, tmp_path):
        answers = np.zeros((4, 3, 8, 8, 1))
        with pytest.raises(RequestError, match="answers: expected pictures of 5 axes"):
            draw_trajectory(tmp_path / "trajectory.png", Trajectory(answers[0], answers[:, 0], label=""))
        with pytest.raises(
            RequestError, match=r"kept: expected the shape \(4, 8, 8, 1\) of answers, got \(3, 8, 8, 1\)"
        ):
            draw_trajectory(tmp_path / "trajectory.png", Trajectory(answers, answers[:3, 0], label=""))


class TestLossCurves:
    def test_is_written(self, tmp_path, metrics):
        draw_loss_curves(tmp_path / "loss.png", metrics)
        assert read(tmp_path / "loss.png").shape == (928, 1280, 3)

    def test_draws_the_terms_that_were_logged_each_in_a_panel(self, monkeypatch, tmp_path, metrics):
        *panels, weights = drawn(
            monkeypatch, loss_curves, lambda: draw_loss_curves(tmp_path / "loss.png", metrics)
        ).axes
        assert {axes.get_title(loc="left"): [line.get_color() for line in axes.lines[1::2]] for axes in panels} == {
            "all loops against the truth": list(MODEL_COLOURS[:2]),
            "student against the truth": [MODEL_COLOURS[0]],
            "student against all loops": [MODEL_COLOURS[0]],
        }
        losses = panels[0]
        assert [text.get_text() for text in losses.get_legend().get_texts()] == ["ILSD", "vanilla"]
        assert len({axes.get_ylim() for axes in panels}) == 1
        raw, smoothed = losses.lines[:2]
        np.testing.assert_array_equal(raw.get_ydata(), [row["teacher_truth"] for row in metrics["ilsd"]])
        np.testing.assert_allclose(smoothed.get_ydata()[1:-1], raw.get_ydata()[1:-1])
        np.testing.assert_array_equal(weights.lines[0].get_ydata(), [row["truth_weight"] for row in metrics["ilsd"]])
        assert losses.get_ylim()[0] == 0

    def test_needs_no_weight_panel_without_weights(self, monkeypatch, tmp_path, metrics):
        figure = drawn(
            monkeypatch,
            loss_curves,
            lambda: draw_loss_curves(tmp_path / "loss.png", {"vanilla": metrics["vanilla"]}),
        )
        assert len(figure.axes) == 1

    @pytest.mark.parametrize("metrics", [{}, {"ilsd": []}, {"ilsd": [{"step": 1, "loss": 2.0}]}])
    def test_refuses_metrics_without_terms(self, tmp_path, metrics):
        with pytest.raises(RequestError, match="expected steps with one of teacher_truth"):
            draw_loss_curves(tmp_path / "loss.png", metrics)

    def test_refuses_what_is_not_finite(self, tmp_path, metrics):
        metrics["vanilla"][7]["teacher_truth"] = float("inf")
        with pytest.raises(RequestError, match=r"metrics\['vanilla'\]: expected a step and a finite teacher_truth"):
            draw_loss_curves(tmp_path / "loss.png", metrics)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30), st.integers(0, 8))
def test_smoothing_is_the_mean_of_the_neighbours(values, window):
    expected = [np.mean(values[max(0, at - window) : at + window + 1]) for at in range(len(values))]
    np.testing.assert_allclose(smooth(np.array(values), window), expected, atol=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.floats(0.01, 0.3))
def test_labels_are_moved_apart_and_keep_their_order_and_middle(positions, gap):
    moved = spread(positions, gap)
    order = np.argsort(positions, kind="stable")
    assert (np.diff(np.array(moved)[order]) >= gap - 1e-9).all()
    assert np.mean(moved) == pytest.approx(np.mean(positions))
    if len(positions) > 1 and np.diff(np.sort(positions)).min() > gap:
        assert moved == pytest.approx(positions)


def test_drawing_leaves_matplotlib_as_it_was(tmp_path, results, metrics):
    before = dict(mpl.rcParams)
    draw_elasticity(tmp_path / "elasticity.png", results, 0.42, 4)
    draw_loss_curves(tmp_path / "loss.png", metrics)
    assert dict(mpl.rcParams) == before


def test_tables_need_neither_matplotlib_nor_pillow():
    code = "import sys, elt_ref.report.table; print({'matplotlib', 'PIL'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"


def test_drawing_uses_no_pyplot():
    code = (
        "import sys, elt_ref.report.page, elt_ref.report.samples, elt_ref.report.elasticity, "
        "elt_ref.report.trajectory, elt_ref.report.loss_curves; print('matplotlib.pyplot' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"


@pytest.mark.whole
def test_a_users_matplotlibrc_changes_no_figure(results, pictures, metrics, tmp_path):
    def figures():
        paths = [tmp_path / f"{name}.png" for name in ("elasticity", "samples", "loss")]
        draw_elasticity(paths[0], results, 0.42, 4)
        draw_samples(paths[1], pictures, 4)
        draw_loss_curves(paths[2], metrics)
        return [path.read_bytes() for path in paths]

    plain = figures()
    with mpl.rc_context({"font.size": 30, "lines.linewidth": 9, "axes.grid": True, "font.family": "serif"}):
        assert figures() == plain
        assert mpl.rcParams["font.size"] == 30, "the user's settings are back"


def test_one_file_loads_matplotlib():
    """Matplotlib then reads the user's settings, whose faults are told there."""
    room = Path(elt_ref.__file__).parent
    loads = re.compile(r"^\s*(from|import) matplotlib", re.MULTILINE)
    assert [path.name for path in room.rglob("*.py") if loads.search(path.read_text("utf-8"))] == ["figure.py"]
