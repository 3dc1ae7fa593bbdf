"""The training loop: whatever happens to it, it ends with the bytes of the run to which nothing happened."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_training import FAMILIES, examples, tiny

from elt_ref.arrays import tree_leaves, tree_map
from elt_ref.errors import RequestError, TrainingError
from elt_ref.training import (
    CHECKPOINT,
    METRICS,
    init_state,
    load_checkpoint,
    read_metrics,
    save_checkpoint,
    train,
    trainer,
)

STEPS = tiny().training.steps


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module", params=FAMILIES)
def config(request):
    return tiny(family=request.param)


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    """The files of a training that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    train(config, examples(config), folder)
    return contents(folder)


def check_same(folder, whole):
    found = contents(folder)
    assert set(found) == set(whole), "files left behind or missing"
    assert found[METRICS] == whole[METRICS], f"{METRICS}:\n{found[METRICS].decode()}is not\n{whole[METRICS].decode()}"
    assert found[CHECKPOINT] == whole[CHECKPOINT], "the checkpoint differs"


# --- an ordinary run


def test_what_a_run_leaves(tmp_path, config):
    seen = []
    state = train(config, examples(config), tmp_path, on_step=lambda step, info: seen.append((step, info)))
    assert state.step == STEPS
    assert [step for step, _ in seen] == list(range(1, STEPS + 1))
    assert set(contents(tmp_path)) == {CHECKPOINT, METRICS}
    loaded = load_checkpoint(tmp_path / CHECKPOINT, config)
    assert all(map(np.array_equal, tree_leaves(loaded.average), tree_leaves(state.average)))

    signs = ("field_sizes" if config.model.family == "drifting" else "blind_loss", "input_share")
    entries = read_metrics(tmp_path / METRICS)
    assert [entry["step"] for entry in entries] == [1, 2, 4, 5], "the first, every second and the last"
    for entry in entries:
        info = seen[entry["step"] - 1][1]
        assert entry == {
            "step": entry["step"],
            "loss": info.terms.total,
            "teacher_truth": info.terms.teacher_truth,
            "student_truth": info.terms.student_truth,
            "distillation": info.terms.distillation,
            "truth_weight": info.truth_weight,
            "student_loops": info.student_loops,
            "gradient_norm": info.gradient_norm,
            "learning_rate": info.learning_rate,
            **{name: entry[name] for name in signs},
        }
    assert (entries[0]["truth_weight"], entries[-1]["truth_weight"]) == (1.0, 0.0)


def test_checkpoints_are_written_on_time(tmp_path, config):
    steps = []

    def look(_step, _info):
        path = tmp_path / CHECKPOINT
        steps.append(load_checkpoint(path, config).step if path.exists() else 0)

    train(config, examples(config), tmp_path, on_step=look)
    assert steps == [0, 2, 2, 4, 5]


def test_a_run_repeats_to_the_byte(tmp_path, config, whole):
    train(config, examples(config), tmp_path)
    check_same(tmp_path, whole)


def test_another_seed_is_another_run(tmp_path, config, whole):
    train(config.model_copy(update={"seed": 1}), examples(config), tmp_path)
    assert contents(tmp_path)[METRICS] != whole[METRICS]


def test_a_new_run_does_not_go_on_from_what_is_there(tmp_path, config, whole):
    shorter = config.training.model_copy(update={"steps": 2})
    train(config.model_copy(update={"training": shorter}), examples(config), tmp_path)
    train(config, examples(config), tmp_path)
    check_same(tmp_path, whole)


# --- interrupted


class Interruption:
    """Ctrl-C after the nth step of a life."""

    def __init__(self, after):
        self.left = after

    def __call__(self, _step, _info):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.few(6)
@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_interrupted_at_any_step_and_resumed(tmp_path, config, whole, at):
    with pytest.raises(KeyboardInterrupt):
        train(config, examples(config), tmp_path, on_step=Interruption(at))
    assert load_checkpoint(tmp_path / CHECKPOINT, config).step == at, "the state was not saved"
    went_on = []
    train(config, examples(config), tmp_path, resume=True, on_step=lambda step, _: went_on.append(step))
    assert went_on == list(range(at + 1, STEPS + 1)), "it did not go on where it stopped"
    check_same(tmp_path, whole)


def test_interrupted_at_every_step(tmp_path, config, whole):
    for _ in range(STEPS):
        with pytest.raises(KeyboardInterrupt):
            train(config, examples(config), tmp_path, resume=True, on_step=Interruption(1))
    train(config, examples(config), tmp_path, resume=True)
    check_same(tmp_path, whole)


def test_interrupted_while_saving(tmp_path, config, whole, monkeypatch):
    """The log is written already, the checkpoint is not: saving again must not log again."""

    def once(*_):
        monkeypatch.setattr(trainer, "save_checkpoint", save_checkpoint)
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "save_checkpoint", once)
    with pytest.raises(KeyboardInterrupt):
        train(config, examples(config), tmp_path)
    train(config, examples(config), tmp_path, resume=True)
    check_same(tmp_path, whole)


@pytest.mark.whole
def test_interrupted_before_any_line_of_the_trainer(tmp_path):
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("training_lives.py"), tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 40, "the trainer was hardly traced"


def test_resuming_a_finished_run_changes_nothing(tmp_path, config, whole):
    train(config, examples(config), tmp_path)
    state = train(config, examples(config), tmp_path, resume=True, on_step=Interruption(1))
    assert state.step == STEPS
    check_same(tmp_path, whole)


def test_resuming_without_a_checkpoint_starts_over(tmp_path, config, whole):
    (tmp_path / METRICS).write_text('{"step": 1, "loss": 99.0}\n{"step": 2', encoding="utf-8")
    train(config, examples(config), tmp_path, resume=True)
    check_same(tmp_path, whole)


@pytest.mark.parametrize("tail", ['{"step": 4, "loss": 1.', '{"step": 4, "loss": 99.0}\n{"step": 5, "loss": 9', "{"])
def test_the_log_is_cut_back_to_the_checkpoint(tmp_path, config, whole, tail):
    """A kill leaves the log ahead of the checkpoint, its last line half written."""
    with pytest.raises(KeyboardInterrupt):
        train(config, examples(config), tmp_path, on_step=Interruption(2))
    with (tmp_path / METRICS).open("a", encoding="utf-8") as log:
        log.write(tail)
    assert [entry["step"] for entry in read_metrics(tmp_path / METRICS)][:2] == [1, 2]
    train(config, examples(config), tmp_path, resume=True)
    check_same(tmp_path, whole)


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"step": "4"}', "\0"])
def test_a_damaged_line_of_the_log(tmp_path, line):
    path = tmp_path / METRICS
    path.write_text(f'{{"step": 1}}\n{line}\n{{"step": 3}}\n', encoding="utf-8")
    with pytest.raises(RequestError, match=r"metrics\.jsonl: expected an entry with its step in line 2, got "):
        read_metrics(path)
    path.write_text(f'{{"step": 1}}\n{line}\n', encoding="utf-8")
    assert read_metrics(path) == [{"step": 1}], "the last line may be cut short"
    for end in (b"\xff", b'{"step": 2, "\xc3', b"\n"):
        path.write_bytes(b'{"step": 1}\n' + end)
        assert read_metrics(path) == [{"step": 1}], "the last line may end within a letter"
    path.write_bytes(b'{"step": 1}\n\n{"step": 3}\n')
    assert [entry["step"] for entry in read_metrics(path)] == [1, 3], "an empty line is no entry"
    path.write_bytes(b'{"step": 1}\n\xff\n{"step": 3}\n')
    with pytest.raises(RequestError, match=r"metrics\.jsonl: expected a readable log, got "):
        read_metrics(path)


@pytest.mark.parametrize("value", ['"x"', "[1, null]", "true", "null", "NaN", "1e999", "1" + "0" * 400, "{}"])
def test_a_value_of_the_log_that_is_no_number(tmp_path, value):
    path = tmp_path / METRICS
    path.write_text(f'{{"step": 1}}\n{{"step": 2, "teacher_truth": {value}}}\n', encoding="utf-8")
    with pytest.raises(RequestError, match=r"expected finite numbers in line 2, got teacher_truth = "):
        read_metrics(path)


def test_a_log_that_is_not_there(tmp_path):
    with pytest.raises(RequestError, match=r"metrics\.jsonl: expected a readable log, got No such file"):
        read_metrics(tmp_path / METRICS)


# --- diverged


def poisoned(value, at):
    """A train step that puts `value` into the parameters at one step."""

    def step(state, batch, draws, **settings):
        after, info = trainer_step(state, batch, draws, **settings)
        if after.step == at:
            after = after._replace(parameters=tree_map(lambda leaf: np.full_like(leaf, value), after.parameters))
        return after, info

    trainer_step = trainer.train_step
    return step


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e38])
def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_last_good_checkpoint(tmp_path, monkeypatch, value):
    monkeypatch.setattr(trainer, "train_step", poisoned(value, at=3))
    with pytest.raises(TrainingError) as caught:
        train(tiny(), examples(tiny()), tmp_path)
    # 1e38 is a number: it takes another step until it overflows.
    step = 4 if value == 1e38 else 3
    sentence = str(caught.value)
    assert sentence.startswith(f"training step {step}: expected a finite loss, gradient and parameters, got "), sentence
    assert sentence.endswith(f"the last good checkpoint stays in {tmp_path / CHECKPOINT}"), sentence
    assert "\n" not in sentence
    good = load_checkpoint(tmp_path / CHECKPOINT, tiny())
    assert good.step == 2
    assert all(np.isfinite(leaf).all() for leaf in tree_leaves(good.parameters)), "the checkpoint is not good"


def test_parameters_that_overflow_are_never_saved(tmp_path, monkeypatch):
    """The loss of that step is finite still, and every step is saved."""
    config = tiny(checkpoint_every=1)
    monkeypatch.setattr(trainer, "train_step", poisoned(np.inf, at=1))
    with pytest.raises(TrainingError, match=r"training step 1: .* parameters that are not; no checkpoint was written"):
        train(config, examples(config), tmp_path)
    assert not (tmp_path / CHECKPOINT).exists()


def test_a_run_that_diverged_can_be_resumed_to_the_bytes_of_one_that_did_not(tmp_path, config, whole, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "train_step", poisoned(np.nan, at=3))
        with pytest.raises(TrainingError):
            train(config, examples(config), tmp_path)
    train(config, examples(config), tmp_path, resume=True)
    check_same(tmp_path, whole)


# --- refused


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RequestError, match="expected a file in a folder that can be written to, got Not a directory"):
        train(tiny(), examples(tiny()), tmp_path / "file")

    def read_only(*_arguments, **_options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(RequestError, match="got Read-only file system"):
        train(tiny(), examples(tiny()), tmp_path)


def test_resuming_from_another_runs_checkpoint(tmp_path):
    save_checkpoint(tmp_path / CHECKPOINT, init_state(tiny(seed=1)), tiny(seed=1))
    with pytest.raises(RequestError, match="expected seed 0, got 1"):
        train(tiny(), examples(tiny()), tmp_path, resume=True)
    with contextlib.suppress(FileNotFoundError):
        assert not (tmp_path / METRICS).read_text(encoding="utf-8")
