"""`elt-ref train`: run folders are made once, resumed to the byte, and never half made."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from elt_ref.arrays import tree_leaves
from elt_ref.config import load_config, load_preset
from elt_ref.run.folder import open_run
from elt_ref.training import CHECKPOINT, METRICS, load_checkpoint, read_metrics

FILES = {"config.toml", "run.json", "tokenizer.safetensors", CHECKPOINT, METRICS}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def check_same(folder, other):
    found, expected = contents(folder), contents(other)
    assert set(found) == set(expected)
    for name in expected:
        assert found[name] == expected[name], f"{name} differs"


def test_a_run_folder(done, tiny, tmp_path, trained):
    out = tmp_path / "run"
    result = done("train", tiny, "--out", out)
    assert not result.out
    assert f"Trained to step 4 in {out}." in result.err
    assert "Mean squared reconstruction error of a test pixel: 0.0" in result.err
    assert "\x1b" not in result.err, "progress is drawn where there is no terminal"
    assert set(contents(out)) == FILES
    assert load_config(out / "config.toml") == load_config(tiny)
    assert [entry["step"] for entry in read_metrics(out / METRICS)] == [1, 2, 4]
    assert open_run(out).step == 4
    check_same(out, trained)


def test_an_opened_run_draws_with_the_average(trained):
    run = open_run(trained)
    state = load_checkpoint(trained / CHECKPOINT, run.config)
    pairs = list(zip(*map(tree_leaves, (run.parameters, state.average, state.parameters)), strict=True))
    assert all(np.array_equal(ours, average) for ours, average, _ in pairs), "not the moving average"
    assert not all(np.array_equal(average, parameters) for _, average, parameters in pairs)


def test_the_folder_is_named_after_the_run_where_none_is_given(done, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done("train", tiny)
    assert set(contents(tmp_path / "runs" / "tiny")) == FILES


def test_settings_seed_and_steps(done, tiny, tmp_path):
    out = tmp_path / "run"
    words = ["--set", "training.learning_rate=5e-4", "--set", "objective.kind=vanilla", "--set", "model.heads=1"]
    done("train", tiny, *words, "--steps", 1, "--seed", 2**64 - 1, "--out", out)
    config = load_config(out / "config.toml")
    assert config == load_config(
        tiny,
        {
            "training.learning_rate": 5e-4,
            "objective.kind": "vanilla",
            "model.heads": 1,
            "training.steps": 1,
            "seed": 2**64 - 1,
        },
    )
    assert ["student_loops" in entry for entry in read_metrics(out / METRICS)] == [False]


def test_the_shipped_preset_trains(done, tmp_path):
    small = {"model.width": 8, "model.mlp_width": 8, "model.codebook_size": 8, "training.batch_size": 2}
    words = [word for key, value in small.items() for word in ("--set", f"{key}={value}")]
    done("train", "digits-masked", *words, "--steps", "1", "--out", tmp_path / "run")
    expected = load_preset("digits-masked", {**small, "training.steps": 1})
    assert load_config(tmp_path / "run" / "config.toml") == expected


def test_a_folder_that_holds_a_run_is_not_trained_into(refused, tiny, trained):
    before = contents(trained)
    assert "expected a folder without a run" in refused("train", tiny, "--out", trained)
    assert "--resume" in refused("train", tiny, "--seed", 1, "--out", trained)
    assert contents(trained) == before, "the run was touched"


def test_resuming_a_finished_run_changes_nothing(done, tiny, copied, trained):
    done("train", tiny, "--out", copied, "--resume")
    check_same(copied, trained)


@pytest.mark.parametrize("lost", [{CHECKPOINT}, {CHECKPOINT, METRICS}, {CHECKPOINT, "tokenizer.safetensors"}, FILES])
def test_resuming_without_a_checkpoint_starts_over(done, tiny, copied, trained, lost):
    for name in lost:
        (copied / name).unlink()
    done("train", tiny, "--out", copied, "--resume")
    check_same(copied, trained)


def test_resuming_keeps_the_tokenizer(done, tiny, copied, monkeypatch):
    monkeypatch.setattr("elt_ref.run.prepare.fit_quantiser", None)  # it must not be fitted again
    done("train", tiny, "--out", copied, "--resume")


def test_resuming_what_never_began_begins(done, tiny, tmp_path, trained):
    done("train", tiny, "--out", tmp_path / "run", "--resume")
    check_same(tmp_path / "run", trained)


@pytest.mark.parametrize(
    ("words", "difference"),
    [
        (["--set", "training.beta1=0.5"], "training.beta1 = 0.5 where it has 0.9"),
        (["--steps", "3"], "training.steps = 3 where it has 4"),
        (["--seed", "1"], "seed = 1 where it has 0"),
        (["--set", "name=other"], "name = 'other' where it has 'tiny'"),
        (["--set", "model.grid=[2, 8]"], "model.grid = (2, 8) where it has (4, 4)"),
    ],
)
def test_resuming_with_other_settings_names_the_difference(refused, tiny, trained, words, difference):
    before = contents(trained)
    sentence = refused("train", tiny, *words, "--out", trained, "--resume")
    assert sentence.endswith(f"expected the settings of the run to resume, got {difference}"), sentence
    assert contents(trained) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "model.grid=[8, 8]"], "model.grid: expected [4, 4] as in the data, got [8, 8]"),
        (["--set", "model.classes=7"], "model.classes: expected 10, as many as data set 'digits' has, got 7"),
        (["--set", "model.codebook_size=99999"], "codebook_size: expected at most the "),
        (["--set", "tokenizer.patch_size=3"], "patch_size: expected a divisor of the 8 rows of the data, got 3"),
        (["--set", "data.name=digit"], "there must be a dataset 'digit'"),
        (["--set", "sampling=1"], "sampling: expected "),
        (["--set", "training.steps"], "--set: expected KEY=VALUE, got 'training.steps'"),
        (["--set", "model.heads=1\nmodel.width=8"], "--set: expected one value for model.heads, got further lines"),
        (["--set", "training.stepz=3"], "did you mean 'steps'?"),
        (["--set", "training.steps=many"], "training.steps: expected integer, got 'many'"),
        (["--set", "name.first=a"], "expected a section at 'name'"),
        (["--seed", "-1"], "seed: expected greater than or equal to 0, got -1"),
        (["--steps", "0"], "training.steps: expected greater than 0, got 0"),
    ],
)
def test_a_request_that_cannot_be_met_leaves_no_folder(refused, tiny, tmp_path, words, message):
    out = tmp_path / "deep" / "run"
    assert message in refused("train", tiny, *words, "--out", out)
    assert not (tmp_path / "deep").exists(), "a folder was left behind"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("elt-l-8x3", "expected a [data] section to train on, got none (this preset only counts)"),
        ("digits-maskd", "did you mean 'digits-masked'?"),
        ("missing.toml", "expected a readable TOML file"),
    ],
)
def test_a_source_that_cannot_be_trained_leaves_no_folder(refused, tmp_path, source, message):
    assert message in refused("train", source, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_pictures_need_a_tokenizer(refused, tiny, tmp_path):
    tiny.write_text(tiny.read_text().replace("[tokenizer]\npatch_size = 2\niterations = 3\n", ""))
    assert "tokenizer: expected a [tokenizer] section for the pictures of 'digits'" in refused(
        "train", tiny, "--out", tmp_path / "run"
    )
    assert not (tmp_path / "run").exists()


def test_a_place_that_takes_no_folder(refused, tiny, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        assert f"{out}: expected a folder that can be written to, got " in refused("train", tiny, "--out", out)


def test_a_damaged_checkpoint_is_not_resumed(refused, tiny, copied):
    (copied / CHECKPOINT).write_bytes((copied / CHECKPOINT).read_bytes()[:-9])
    assert "expected a whole safetensors file" in refused("train", tiny, "--out", copied, "--resume")


def test_a_training_that_diverges_exits_with_one_and_one_sentence(command, tiny, tmp_path):
    result = command("train", tiny, "--set", "training.learning_rate=1e6", "--out", tmp_path / "run")
    assert result.code == 1
    assert result.err.startswith("elt-ref: training step 2: expected a finite loss, gradient and parameters, got ")
    assert result.err.count("\n") == 1, f"not one sentence: {result.err}"
    assert not result.out


# --- Ctrl-C

ELT_REF = [sys.executable, "-c", "from elt_ref.cli import main; main()"]


def start(*words):
    return subprocess.Popen(
        [*ELT_REF, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    )


@pytest.mark.whole
def test_interrupted_and_gone_on_with(tiny, tmp_path):
    words = ["train", tiny, "--set", "training.steps=150", "--set", "training.checkpoint_every=10", "--out"]
    whole = start(*words, tmp_path / "whole")
    _, errors = whole.communicate()
    assert whole.returncode == 0, errors

    broken = tmp_path / "a folder"
    process = start(*words, broken)
    while not (broken / CHECKPOINT).exists() and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate()
    assert process.returncode == 130, f"exit code {process.returncode}: {errors}"
    assert not out
    assert "Traceback" not in errors
    assert f"Interrupted; progress is saved in {broken}. Continue with: elt-ref train " in errors
    step = open_run(broken).step
    assert 10 <= step < 150, f"it was interrupted at step {step}"

    how = shlex.split(next(line for line in errors.splitlines() if "Continue with" in line).partition("elt-ref ")[2])
    assert how[-1] == "--resume"
    on = start(*how)
    _, errors = on.communicate()
    assert on.returncode == 0, errors
    check_same(broken, tmp_path / "whole")


def test_a_process_of_its_own_trains_the_same_bytes(tiny, tmp_path, trained):
    process = start("train", tiny, "--out", tmp_path / "run")
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    check_same(tmp_path / "run", trained)


def test_the_code_under_test_is_this_one():
    import elt_ref

    code = "import elt_ref; print(elt_ref.__file__)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert Path(found) == Path(elt_ref.__file__)
