"""`elt-ref compare`: runs of one architecture, judged from the same noise, in one table and one report."""

import json
import re
import shutil

import numpy as np
import pytest
from tiny_runs import TINY, train_tiny

import elt_ref
from elt_ref.report.samples import draw_samples
from elt_ref.run.evaluate import draw_pictures
from elt_ref.run.folder import open_run


@pytest.fixture(scope="module")
def longer(tmp_path_factory):
    """A run like the tiny one, trained by the other objective."""
    text = TINY.replace("[sampling]", '[objective]\nkind = "vanilla"\n[sampling]')
    return train_tiny(tmp_path_factory.mktemp("runs") / "vanilla", text)


def test_what_is_written_and_told(command, trained, longer, tmp_path):
    out = tmp_path / "compared"
    result = command("compare", longer, trained, "--out", out, "--count", 12)
    assert result.code == 0, result.err
    pictures = {"samples.png", "elasticity.png", "trajectory.png", "loss.png"}
    assert {path.name for path in out.iterdir()} == {*pictures, "results.json", "report.html"}
    document = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert document["max_loops"] == 2
    assert [name for name in document if name in {"tiny", "vanilla"}] == ["tiny", "vanilla"], "ILSD comes first"
    evaluated = command("evaluate", longer, "--loops", "1,4", "--count", 12, "--json")
    for row in json.loads(evaluated.out)["results"]:
        found = document["vanilla"][row["loops"] - 1]
        assert {**found, "seconds_per_sample": 0} == {**row, "seconds_per_sample": 0}, "evaluate says something else"
    assert [row["loops"] for row in document["tiny"]] == [1, 2, 3, 4]
    assert "•" in result.err
    assert str(out / "report.html") in result.err.replace("\n", "")


def test_the_pictures_can_be_of_chosen_classes(command, trained, tmp_path, monkeypatch):
    drawn = {}

    def catch(path, pictures, max_loops, *, labels):
        drawn.update(pictures["tiny"], labels=labels)
        draw_samples(path, pictures, max_loops, labels=labels)

    monkeypatch.setattr("elt_ref.run.compare.draw_samples", catch)
    run = open_run(trained)
    result = command("compare", trained, "--out", tmp_path / "out", "--count", 10, "--labels", "7,7,3")
    assert result.code == 0, result.err
    assert drawn.pop("labels") == ["7", "7", "3"]
    assert list(drawn) == [1, 2, 3, 4]
    for loops, pictures in drawn.items():
        np.testing.assert_array_equal(pictures, draw_pictures(run, np.array([7, 7, 3]), loops=loops, seed=0))


def test_trainings_that_differ_are_told_apart(command, trained, tmp_path):
    shorter = train_tiny(tmp_path / "shorter", TINY.replace("steps = 4", "steps = 2"))
    result = command("compare", trained, shorter, "--out", tmp_path / "out", "--count", 10)
    assert result.code == 0, result.err
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "tiny: 4 steps of 4, seed 0; shorter: 2 steps of 4, seed 0" in report
    assert f"elt-ref compare {trained} {shorter} --out {tmp_path / 'out'} --count 10" in report
    assert f"elt_ref {elt_ref.__version__}" in report
    for name, folder in (("tiny", trained), ("shorter", shorter)):
        for file in ("config.toml", "run.json", "metrics.jsonl", "checkpoint.safetensors"):
            (link,) = set(re.findall(rf'href="([^"]*{folder.name}/{file})"', report))
            assert (tmp_path / "out" / link).resolve() == (folder / file).resolve(), name
    for page in re.findall(r'href="([^"]*docs/[^"]*)"', report):
        assert (tmp_path / "out" / page).is_file()
    assert 'href="https://arxiv.org/abs/2604.09168"' in report


def test_runs_that_differ_only_in_their_seed_are_one_model(command, longer, tmp_path):
    again = [train_tiny(tmp_path / f"ilsd-{seed}", f"seed = {seed}\n{TINY}") for seed in (1, 2, 3)]
    result = command("compare", *again, longer, "--out", tmp_path / "out", "--count", 10)
    assert result.code == 0, result.err
    document = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert set(document["models"]) == {"ilsd"}, "vanilla has one seed and another objective"
    assert document["models"]["ilsd"]["runs"] == ["ilsd-1", "ilsd-2", "ilsd-3"]
    for at, row in enumerate(document["models"]["ilsd"]["rows"]):
        values = [document[f"ilsd-{seed}"][at]["frechet_distance"] for seed in (1, 2, 3)]
        mean = np.exp(np.mean(np.log(values)))
        assert row["frechet_distance"] == pytest.approx(mean)
        times = np.exp(4.30265 * np.std(np.log(values), ddof=1) / np.sqrt(3))  # a table's value of Student's t
        assert row["intervals"]["frechet_distance"] == pytest.approx([mean / times, mean * times], rel=1e-5)
        assert set(row["intervals"]) == {"frechet_distance", "inception_score", "label_accuracy"}
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "ILSD: 4 steps of 4, seeds 1, 2, 3; vanilla: 4 steps of 4, seed 0" in report
    assert report.count("trainings that differ only in their seed") == 1
    assert "ILSD is 3 trainings that differ only in their seed: ilsd-1, ilsd-2, ilsd-3." in report
    assert "the pictures are those of the first seed" in report
    assert re.search(r"\d \[[\d.]+–[\d.]+\]", result.err)
    assert "ilsd-2" not in re.search(r"<table>.*?</table>", report, re.DOTALL)[0]


def test_a_comparison_is_not_written_over(refused, trained, tmp_path):
    (tmp_path / "results.json").write_text("{}", encoding="utf-8")
    expected = refused("compare", trained, "--out", tmp_path)
    assert expected == f"{tmp_path}: expected a folder without results.json, got one with it; choose another --out"
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_runs_that_cannot_be_compared(refused, trained, trained_diffusion, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    text = (other / "config.toml").read_text(encoding="utf-8")
    (other / "config.toml").write_text(text.replace("steps = 3", "steps = 5"), encoding="utf-8")
    out = ["--out", tmp_path / "out"]
    expected = "compare: expected 'other' to have the [sampling] of 'tiny', got another"
    assert refused("compare", trained, other, *out) == expected
    assert "to have the [tokenizer] of 'tiny', got another" in refused("compare", trained, trained_diffusion, *out)
    assert "expected run folders of different names" in refused("compare", trained, trained, *out)
    assert "expected a run folder" in refused("compare", trained, tmp_path, *out)
    assert "--labels: expected classes from 0 to 9, got 10" in refused("compare", trained, "--labels", "1,10", *out)
    assert "--labels: expected integers with commas between" in refused("compare", trained, "--labels", "one", *out)
    assert "count: expected at least 10 samples" in refused("compare", trained, "--count", 9, *out)
    assert not (tmp_path / "out").exists()
