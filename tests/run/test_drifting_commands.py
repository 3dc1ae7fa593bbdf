"""The drifting family by its commands: one evaluation of the network for a sample, whatever the loops."""

import json

import pytest
from tiny_runs import TINY_DRIFTING

from elt_ref.measure import count
from elt_ref.run.folder import open_run


@pytest.fixture
def config_file(tmp_path):
    """Return ``config_file(old, new) -> path``: the tiny configuration with words replaced."""

    def write(old="", new=""):
        assert old in TINY_DRIFTING
        path = tmp_path / "tiny-drifting.toml"
        path.write_text(TINY_DRIFTING.replace(old, new) if old else TINY_DRIFTING, encoding="utf-8")
        return path

    return write


def test_sampling_and_judging(done, trained_drifting, tmp_path):
    done("sample", trained_drifting, "--loops", 3, "--count", 20, "--out", tmp_path / "drawn.png")
    rows = json.loads(done("evaluate", trained_drifting, "--loops", "1,4,exit:0.5:2", "--count", 10, "--json").out)[
        "results"
    ]
    assert [row["loops"] for row in rows] == [1, 4, "exit:0.5:2"]
    config = open_run(trained_drifting).config
    costs = [row["gflops_per_sample"] for row in rows]
    assert costs[:2] == [count(config, loops).flops_per_sample / 1e9 for loops in (1, 4)]
    assert costs[2] > costs[0], "one loop with a head after it, and perhaps a second"


def test_training_again_and_in_two_lives_gives_the_same_bytes(done, config_file, trained_drifting, tmp_path):
    again = tmp_path / "again"
    done("train", config_file(), "--out", again)
    names = ("checkpoint.safetensors", "metrics.jsonl")
    expected = {name: (trained_drifting / name).read_bytes() for name in names}
    assert {name: (again / name).read_bytes() for name in names} == expected
    (again / "metrics.jsonl").write_bytes(b"".join(expected["metrics.jsonl"].splitlines(keepends=True)[:1]))
    done("train", config_file(), "--out", tmp_path / "two", "--steps", 4)
    assert (tmp_path / "two" / names[0]).read_bytes() == expected[names[0]]


def test_the_log_holds_the_sizes_of_the_fields(trained_drifting):
    lines = (trained_drifting / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    for entry in map(json.loads, lines):
        assert len(entry["field_sizes"]) == 3
        assert all(size > 0 for size in entry["field_sizes"])


def test_a_comparison_with_the_control(done, config_file, trained_drifting, tmp_path):
    done("train", config_file(), "--set", "objective.kind=vanilla", "--out", tmp_path / "vanilla")
    done("compare", trained_drifting, tmp_path / "vanilla", "--count", 20, "--out", tmp_path / "compared")
    results = json.loads((tmp_path / "compared" / "results.json").read_text(encoding="utf-8"))
    assert results["max_loops"] == 2
    text = (tmp_path / "compared" / "report.html").read_text(encoding="utf-8")
    assert "1 step, 20 samples for each loop count" in text


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("positives = 4", "positives = 139", "drifting.positives: expected at most 138, the training examples of the"),
        ("classes_per_step = 2", "classes_per_step = 11", "drifting.classes_per_step: expected at most the 10 classes"),
        ("steps = 1\n[t", "steps = 2\n[t", "sampling.steps: expected 1 in the drifting family"),
    ],
)
def test_what_the_data_do_not_allow_is_told_before_anything_is_written(
    refused, config_file, tmp_path, old, new, sentence
):
    assert sentence in refused("train", config_file(old, new), "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--steps", 4), "sampling.steps: expected 1 in the drifting family, which samples in one evaluation, got 4"),
        (("--guidance", 3), "sampling.guidance_scale: expected 1 in the drifting family, which learns no prediction"),
        (("--labels", 10), "classes in 0…9, got 10"),
    ],
)
def test_requests_that_one_step_cannot_serve(refused, trained_drifting, tmp_path, options, sentence):
    assert sentence in refused("sample", trained_drifting, *options, "--out", tmp_path / "drawn.png")
