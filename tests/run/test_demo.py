"""The demo, small: both families, both models, every loop count, all pictures, and the report."""

import json
import shutil

import pytest
from PIL import Image

from elt_ref.errors import RequestError, TrainingError
from elt_ref.measure import count
from elt_ref.run import demo
from elt_ref.run.folder import open_run
from elt_ref.terminal import Terminal

SMALL = {
    "training.steps": 3,
    "training.batch_size": 8,
    "model.layers": 1,
    "model.max_loops": 2,
    "model.width": 8,
    "model.heads": 2,
    "model.mlp_width": 8,
    "sampling.steps": 2,
}
ROW = {
    "loops",
    "frechet_distance",
    "inception_score",
    "label_accuracy",
    "nearest_distance",
    "gflops_per_sample",
    "seconds_per_sample",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return the demo's folder and what it printed."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    path = folder.with_name("console.txt")
    with pytest.MonkeyPatch.context() as patch, path.open("w", encoding="utf-8") as file:
        patch.setattr(demo, "SAMPLES", 20)
        demo.run_demo(folder, Terminal(file=file, width=120), overrides=SMALL)
    return folder, path.read_text(encoding="utf-8")


PLACES = {"masked": ".", "diffusion": "diffusion"}
families = pytest.mark.parametrize("place", PLACES.values(), ids=list(PLACES))


@families
def test_files(made, place):
    folder, _ = made
    pictures = {"samples.png", "elasticity.png", "trajectory.png", "loss.png"}
    more = {"diffusion", "report.html"} if place == "." else set()
    expected = {*pictures, "results.json", "ilsd", "vanilla", *more}
    assert {path.name for path in (folder / place).iterdir()} == expected
    for name in pictures:
        with Image.open(folder / place / name) as picture:
            picture.load()
            assert min(picture.size) > 100, f"{name} is {picture.size}"


def test_one_report_shows_both_families(made):
    page = (made[0] / "report.html").read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert page.count('class="chapter"') == 2
    assert (page.count("<figure"), page.count('class="elasticity"')) == (6, 2)


@families
def test_both_models_are_alike_but_for_the_objective(made, place):
    folder, _ = made
    ilsd, vanilla = (open_run(folder / place / kind) for kind in ("ilsd", "vanilla"))
    assert (ilsd.config.objective.kind, vanilla.config.objective.kind) == ("ilsd", "vanilla")
    assert ilsd.config.model_copy(update={"objective": vanilla.config.objective}) == vanilla.config
    assert (ilsd.step, vanilla.step) == (3, 3)
    assert ilsd.codec.to_bytes() == vanilla.codec.to_bytes()


@families
def test_results(made, place):
    folder, _ = made
    document = json.loads((folder / place / "results.json").read_text(encoding="utf-8"))
    assert document["max_loops"] == 2
    assert document["real_distance"] > 0
    assert document["seconds"] > 0
    for kind in ("ilsd", "vanilla"):
        rows = document[kind]
        assert [set(row) for row in rows] == [ROW] * 4
        assert [row["loops"] for row in rows] == [1, 2, 3, 4], "every loop count up to twice that of training"
        config = open_run(folder / place / kind).config
        for row in rows:
            assert row["gflops_per_sample"] == count(config, row["loops"]).flops_per_sample / 1e9


def test_what_is_printed(made):
    _, printed = made
    assert "report.html" in printed.replace("\n", "")
    assert "•" in printed, "the advice on what to look at is missing"
    assert "ILSD" in printed


def test_a_used_folder_is_refused(made):
    folder, _ = made
    before = sorted((path.name, path.stat().st_mtime_ns) for path in folder.rglob("*"))
    with pytest.raises(
        RequestError, match=r"expected a folder without results\.json, got one with it; choose another --out"
    ):
        demo.run_demo(folder, Terminal(quiet=True), overrides=SMALL)
    assert sorted((path.name, path.stat().st_mtime_ns) for path in folder.rglob("*")) == before


@pytest.mark.whole
def test_a_demo_that_was_interrupted_goes_on_where_it_was(made, tmp_path):
    folder, _ = made
    begun = tmp_path / "begun"
    shutil.copytree(folder / "ilsd", begun / "ilsd")
    with pytest.raises(RequestError, match="expected the settings of the run to resume"):
        demo.run_demo(begun, Terminal(quiet=True), overrides={**SMALL, "seed": 5})
    assert not (begun / "vanilla").exists(), "a model was trained before all folders were checked"
    demo.run_demo(begun, Terminal(quiet=True), overrides=SMALL)
    for place in PLACES.values():
        for kind in ("ilsd", "vanilla"):
            name = f"{place}/{kind}/checkpoint.safetensors"
            assert (begun / name).read_bytes() == (folder / name).read_bytes()


def test_a_control_that_cannot_be_trained_is_told_in_a_sentence(tmp_path, capfd):
    (tmp_path / "vanilla").write_bytes(b"")
    with pytest.raises(TrainingError, match="expected the vanilla model to train to the end, got exit code 1"):
        demo.run_demo(tmp_path, Terminal(quiet=True), overrides=SMALL)
    sentence = capfd.readouterr().err
    assert "expected a folder that can be written to" in sentence
    assert "Traceback" not in sentence


def test_a_place_that_takes_no_folder(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RequestError, match="expected a folder that can be written to, got "):
        demo.run_demo(tmp_path / "file", Terminal(quiet=True), overrides=SMALL)


def test_the_command_is_wired(monkeypatch, done, tmp_path):
    called = []
    monkeypatch.setattr(demo, "run_demo", lambda folder, console: called.append((folder, console.stderr)))
    done("demo", "--out", tmp_path / "out")
    assert called == [(tmp_path / "out", True)]
