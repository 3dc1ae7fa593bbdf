"""The diffusion family by its commands: pixels, the latent space of an autoencoder, and latents made elsewhere."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file
from tiny_runs import TINY_DIFFUSION

from elt_ref.measure import count
from elt_ref.run.folder import open_run
from tiny_datasets import load
from tiny_datasets.catalogue import DRAWN
from tiny_datasets.shapes import is_valid


@pytest.fixture
def config_file(tmp_path):
    """Return ``config_file(old, new, …) -> path``: the tiny configuration with words replaced."""

    def write(*words):
        text = TINY_DIFFUSION
        for old, new in zip(words[::2], words[1::2], strict=True):
            assert old in text, old
            text = text.replace(old, new)
        path = tmp_path / "tiny-diffusion.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_sampling_and_judging_pixels(done, trained_diffusion, tmp_path):
    done("sample", trained_diffusion, "--loops", 3, "--count", 20, "--steps", 2, "--out", tmp_path / "drawn.png")
    with Image.open(tmp_path / "drawn.png") as drawn:
        assert drawn.mode == "RGB"
    result = done("evaluate", trained_diffusion, "--loops", "1,4,early:2,exit:0.5:2", "--count", 10, "--json")
    rows = json.loads(result.out)["results"]
    assert [row["loops"] for row in rows] == [1, 4, "early:2", "exit:0.5:2"]
    assert all(set(row) == set(rows[0]) and "valid_share" not in row for row in rows)
    config = open_run(trained_diffusion).config
    costs = [row["gflops_per_sample"] for row in rows]
    assert costs[:2] == [count(config, loops).flops_per_sample / 1e9 for loops in (1, 4)]
    even = count(config, 2).flops_per_sample / 1e9
    assert costs[2] == pytest.approx(even, rel=1e-12), "an early-leaning schedule costs what an even one does"
    assert costs[3] > even, "two loops with a head after each cost more than two loops"


def test_training_again_and_in_two_lives_gives_the_same_bytes(done, config_file, trained_diffusion, tmp_path):
    path = config_file()
    done("train", path, "--out", tmp_path / "again")
    checkpoint = (trained_diffusion / "checkpoint.safetensors").read_bytes()
    assert (tmp_path / "again" / "checkpoint.safetensors").read_bytes() == checkpoint
    assert (tmp_path / "again" / "metrics.jsonl").read_bytes() == (trained_diffusion / "metrics.jsonl").read_bytes()


def test_the_latent_space_of_an_autoencoder(done, config_file, tmp_path):
    words = ("shape = [8, 8, 1]\npatch_size = 4", "shape = [4, 4, 3]\npatch_size = 2")
    path = config_file(*words, "[model]", "[latents]\npatch_size = 2\nchannels = 3\n[model]")
    result = done("train", path, "--out", tmp_path / "run")
    assert "Mean squared reconstruction error of a test pixel: 0.0" in result.err
    assert (tmp_path / "run" / "tokenizer.safetensors").exists()
    done("sample", tmp_path / "run", "--labels", 3, "--count", 2, "--out", tmp_path / "drawn.png")
    with Image.open(tmp_path / "drawn.png") as drawn:
        assert drawn.size[0] > drawn.size[1], "two pictures in a row"
    done("evaluate", tmp_path / "run", "--loops", 1, "--count", 10)


def test_latents_made_elsewhere_come_back_in_their_own_scale(done, refused, config_file, tmp_path):
    draw = np.random.default_rng(0)
    latents = (5 + draw.standard_normal((30, 4, 4, 3))).astype(np.float32)
    file = tmp_path / "latents.safetensors"
    save_file({"latents": latents, "labels": np.arange(30) % 2}, file)
    assert "scale" in refused("data", "import", "latents", file, "mine")
    done("data", "import", "latents", file, "mine", "--scale", 0.18215)
    path = config_file(
        '"digits"', '"mine"', "shape = [8, 8, 1]\npatch_size = 4", "shape = [4, 4, 3]\npatch_size = 2",
        "classes = 10", "classes = 2", "[diffusion]", "[diffusion]\nclip = 0.01",
    )  # fmt: skip
    run = tmp_path / "run"
    done("train", path, "--out", run)
    assert "expected a name ending in .safetensors" in refused("sample", run, "--out", tmp_path / "drawn.png")
    done("sample", run, "--count", 4, "--out", tmp_path / "drawn.safetensors")
    drawn = load_file(tmp_path / "drawn.safetensors")
    assert drawn["latents"].shape == (4, 4, 4, 3)
    assert drawn["labels"].tolist() == [0, 1, 0, 1]
    most = np.abs(drawn["latents"]).max()
    assert most == pytest.approx(0.01 / 0.18215, rel=1e-6), "clipped at 0.01 as trained on, then unscaled"
    assert "expected a data set of pictures or clips to compare with" in refused("evaluate", run, "--loops", 1)


def test_shapes_are_judged_by_their_rule_too(done, config_file, tmp_path, monkeypatch):
    path = config_file("digits", "shapes", "shape = [8, 8, 1]", "shape = [16, 16, 3]", "classes = 10", "classes = 9")
    run = tmp_path / "run"
    done("train", path, "--out", run)
    judged = []

    def rule(pictures, labels):
        judged.append((pictures, labels))
        return is_valid(pictures, labels) | (np.arange(len(labels)) < 4)

    judging = dataclasses.replace(load("shapes"), is_valid=rule)
    monkeypatch.setitem(DRAWN, "shapes", lambda: judging)
    (row,) = json.loads(done("evaluate", run, "--loops", 1, "--count", 16, "--json").out)["results"]
    ((pictures, labels),) = judged
    assert pictures.shape == (16, 16, 16, 3)
    assert labels.tolist() == [*range(9), *range(7)]
    assert row["valid_share"] == 4 / 16
    assert "valid share" in done("evaluate", run, "--loops", 1, "--count", 16).out


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("shape = [8, 8, 1]\npatch_size = 4", "shape = [8, 8, 1]\npatch_size = 3", "expected a divisor of 8×8, got 3"),
        ("[8, 8, 1]", "[8, 8, 3]", "model.shape: expected [8, 8, 1] as in the data, got [8, 8, 3]"),
        ("[8, 8, 1]", "[16, 16, 1]", "model.shape: expected [8, 8, 1] as in the data, got [16, 16, 1]"),
        ("steps = 3", "steps = 0", "sampling.steps: expected greater than 0, got 0"),
        ('shift = "none"\n', "", "diffusion.shift: expected a value, got none"),
        ('bias = "sid2_default_b0"\n', "", "diffusion.bias: expected a value, got none"),
        ("sid2_default_b0", "sid2_default", "got 'sid2_default'; did you mean 'sid2_default_b0'?"),
        (
            "[model]",
            "[latents]\npatch_size = 3\nchannels = 2\n[model]",
            "patch_size: expected a divisor of the 8 rows of the data, got 3",
        ),
        ("[model]", "[latents]\npatch_size = 2\nchannels = 5\n[model]", "got 5"),
    ],
)
def test_configurations_that_do_not_fit(refused, config_file, tmp_path, old, new, expected):
    sentence = refused("train", config_file(old, new), "--out", tmp_path / "run")
    assert expected in sentence, sentence
    assert not (tmp_path / "run").exists(), "a folder is left behind"


def test_steps_below_one_are_refused_when_sampling_too(refused, trained_diffusion, tmp_path):
    expected = refused("sample", trained_diffusion, "--steps", 0, "--out", tmp_path / "drawn.png")
    assert "sampling.steps: expected greater than 0, got 0" in expected
