"""The demo, small: both models, every loop count, all pictures, and the report."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from elt_ref.errors import RequestError
from elt_ref.generation import sample
from elt_ref.measure import count
from elt_ref.run import demo
from elt_ref.run.folder import open_run

SMALL = {
    "training.steps": 3,
    "training.batch_size": 8,
    "model.layers": 1,
    "model.max_loops": 2,
    "model.width": 8,
    "model.heads": 2,
    "model.mlp_width": 8,
    "model.codebook_size": 16,
    "sampling.steps": 2,
}
ROW = {"loops", "frechet_distance", "inception_score", "label_accuracy", "gflops_per_sample", "seconds_per_sample"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return the demo's folder and what it printed."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    path = folder.with_name("console.txt")
    with pytest.MonkeyPatch.context() as patch, path.open("w", encoding="utf-8") as file:
        patch.setattr(demo, "SAMPLES", 20)
        demo.run_demo(folder, Console(file=file, width=120), overrides=SMALL)
    return folder, path.read_text(encoding="utf-8")


def test_files(made):
    folder, _ = made
    pictures = {"samples.png", "elasticity.png", "trajectory.png", "loss.png"}
    assert {path.name for path in folder.iterdir()} == {*pictures, "results.json", "report.html", "ilsd", "vanilla"}
    for name in pictures:
        with Image.open(folder / name) as picture:
            picture.load()
            assert min(picture.size) > 100, f"{name} is {picture.size}"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")


def test_both_models_are_alike_but_for_the_objective(made):
    folder, _ = made
    ilsd, vanilla = (open_run(folder / kind) for kind in ("ilsd", "vanilla"))
    assert (ilsd.config.objective.kind, vanilla.config.objective.kind) == ("ilsd", "vanilla")
    assert ilsd.config.model_copy(update={"objective": vanilla.config.objective}) == vanilla.config
    assert (ilsd.step, vanilla.step) == (3, 3)
    assert ilsd.codec.to_bytes() == vanilla.codec.to_bytes()


def test_results(made):
    folder, _ = made
    document = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert document["max_loops"] == 2
    assert document["real_distance"] > 0
    assert document["seconds"] > 0
    for kind in ("ilsd", "vanilla"):
        rows = document[kind]
        assert [set(row) for row in rows] == [ROW] * 4
        assert [row["loops"] for row in rows] == [1, 2, 3, 4], "every loop count up to twice that of training"
        config = open_run(folder / kind).config
        for row in rows:
            assert row["gflops_per_sample"] == count(config, row["loops"]).flops_per_sample / 1e9


def test_what_is_printed(made):
    _, printed = made
    assert "report.html" in printed.replace("\n", "")
    assert "•" in printed, "what to look at is not told"
    assert "ILSD" in printed


def test_the_making_of_a_sample(made):
    """The last answer of L_max loops is what sampling with the same seed gives."""
    folder, _ = made
    run = open_run(folder / "ilsd")
    answers, kept = demo.trajectory(run, 8, seed=0)
    assert answers.shape == (2, 2, 8, 8, 1)
    assert kept.shape == (2, 8, 8, 1)
    drawn = sample(run.parameters, run.config, np.array([8]), seed=0, loops=2).samples
    np.testing.assert_array_equal(answers[-1, -1], run.codec.decode(drawn.reshape(1, 4, 4))[0])
    shown = ~np.isnan(kept[0])
    assert 0 < shown.sum() < shown.size
    np.testing.assert_array_equal(kept[0][shown], answers[0, -1][shown])


def test_a_used_folder_is_refused(made):
    folder, _ = made
    before = sorted((path.name, path.stat().st_mtime_ns) for path in folder.rglob("*"))
    with pytest.raises(RequestError, match="expected a folder without a demo, got one with a demo; choose another"):
        demo.run_demo(folder, Console(quiet=True), overrides=SMALL)
    assert sorted((path.name, path.stat().st_mtime_ns) for path in folder.rglob("*")) == before


def test_a_demo_that_was_interrupted_goes_on_where_it_was(made, tmp_path):
    folder, _ = made
    shutil.copytree(folder / "ilsd", tmp_path / "begun" / "ilsd")
    with pytest.raises(RequestError, match="expected the settings of the run to resume"):
        demo.run_demo(tmp_path / "begun", Console(quiet=True), overrides={**SMALL, "seed": 5})
    assert not (tmp_path / "begun" / "vanilla").exists(), "a model was trained before both folders were checked"
    demo.run_demo(tmp_path / "begun", Console(quiet=True), overrides=SMALL)
    for kind in ("ilsd", "vanilla"):
        name = f"{kind}/checkpoint.safetensors"
        assert (tmp_path / "begun" / name).read_bytes() == (folder / name).read_bytes()


def test_a_place_that_takes_no_folder(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RequestError, match="expected a folder that can be written to, got "):
        demo.run_demo(tmp_path / "file", Console(quiet=True), overrides=SMALL)


def test_the_command_is_wired(monkeypatch, done, tmp_path):
    called = []
    monkeypatch.setattr(demo, "run_demo", lambda folder, console: called.append((folder, console.stderr)))
    done("demo", "--out", tmp_path / "out")
    assert called == [(tmp_path / "out", True)]
