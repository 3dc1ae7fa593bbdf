"""Settings that are hardly meant are told in one line, and the presets need none."""

import pytest

import tiny_datasets
from elt_ref.config import load_preset, preset_names
from elt_ref.run.warn import sampling_warnings, training_warnings

TRAINED = [name for name in preset_names() if load_preset(name).data is not None]


@pytest.mark.parametrize("name", TRAINED)
def test_no_preset_is_warned_of(name):
    config = load_preset(name)
    assert config.data is not None
    assert training_warnings(config, len(tiny_datasets.load(config.data.name).train)) == []


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            {"training.steps": 300},
            "training.average_decay = 0.998: after 300 steps the average, which sampling uses, still holds 55% of",
        ),
        ({"training.average_decay": 0.9999}, "still holds 67% of the untrained parameters"),
        (
            {"training.warmup_steps": 4000},
            "= 4000: in 4000 steps the learning rate never reaches 0.004",
        ),
        ({"training.batch_size": 1438}, "training.batch_size = 1438: a step sees some of the 1437 examples more than"),
        ({"objective.label_drop_rate": 1.0}, "objective.label_drop_rate = 1: no class is learned"),
        ({"training.log_every": 4001}, "training.log_every = 4001: the log holds the first and the last"),
        (
            {"objective.label_drop_rate": 0.0, "sampling.guidance_scale": 3.0},
            "guidance scale 3: training with objective",
        ),
        ({"sampling.loops": 9}, "9 loops: training had at most L_max = 4"),
        ({"sampling.steps": 17}, "17 sampling steps: each decides at least one of 16 tokens, so 1 do little"),
    ],
)
def test_what_is_hardly_meant(settings, told):
    (warning,) = training_warnings(load_preset("digits-masked", settings), 1437)
    assert told in warning
    assert "\n" not in warning


@pytest.mark.parametrize(
    "settings", [{"training.batch_size": 1437}, {"training.warmup_steps": 3999}, {"sampling.steps": 16}]
)
def test_what_is_at_the_edge(settings):
    assert training_warnings(load_preset("digits-masked", settings), 1437) == []


def test_guidance_of_a_run_that_dropped_no_labels(trained_video, done, tmp_path):
    """The run's own setting is 0.1; only one without dropping is told."""
    assert (
        "Warning" not in done("sample", trained_video, "--guidance", 3, "--count", 2, "--out", tmp_path / "a.png").err
    )
    config = load_preset("digits-video", {"sampling.guidance_scale": 3.0})
    assert len(sampling_warnings(config)) == 1


def test_training_and_sampling_say_it(tiny, done, tmp_path):
    words = ["--set", "objective.label_drop_rate=0.0", "--set", "training.average_decay=0.99", "--steps", 20]
    result = done("train", tiny, *words, "--out", tmp_path / "run")
    assert result.err.count("Warning: ") == 1
    assert "still holds 82% of the untrained parameters; at most 0.891 suits so few steps." in result.err
    result = done("sample", tmp_path / "run", "--guidance", 3, "--count", 2, "--out", tmp_path / "a.png")
    assert "Warning: guidance scale 3: training with objective.label_drop_rate = 0 drops no labels" in result.err
    assert done("sample", tmp_path / "run", "--count", 2, "--out", tmp_path / "b.png").err.count("Warning") == 0
