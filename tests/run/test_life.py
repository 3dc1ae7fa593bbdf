"""The life of a run: signals save, a folder has one writer, a run goes on only with what it began with."""

import fcntl
import json
import multiprocessing
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import elt_ref
import tiny_datasets
from elt_ref.config import load_preset
from elt_ref.run.folder import open_run
from elt_ref.run.lock import LOCK, locked
from elt_ref.run.record import settings_digest
from elt_ref.run.stop import TOGETHER, signals_interrupt
from elt_ref.training import CHECKPOINT, METRICS, read_metrics

ELT_REF = [sys.executable, "-c", "from elt_ref.cli import main; main()"]
LONG = ["--set", "training.steps=100000", "--set", "training.checkpoint_every=10", "--set", "training.log_every=1000"]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def start(*words, ignored=()):
    """Start a command in a process with every signal as a shell sets it, except those to be ignored."""

    def settle():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

    return subprocess.Popen(
        [*ELT_REF, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=settle,  # noqa: PLW1509  there are no threads here
    )


def wait_for(path, process):
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)


# --- signals


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGXCPU, 152), (signal.SIGUSR1, 138)],
)
def test_a_signal_saves_and_says_how_to_go_on(tiny, tmp_path, number, code):
    folder = tmp_path / "run"
    process = start("train", tiny, *LONG, "--out", folder)
    wait_for(folder / CHECKPOINT, process)
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    assert f"Interrupted; progress is saved in {folder}. Continue with: elt-ref train " in errors
    assert not (folder / LOCK).exists()
    assert open_run(folder).step >= 10
    assert shlex.split(errors.splitlines()[-1])[-1] == "--resume"


def test_started_with_ignored_signals_it_trains_on_and_still_saves_at_sigterm(tiny, tmp_path):
    folder = tmp_path / "run"
    process = start("train", tiny, *LONG, "--out", folder, ignored=(signal.SIGINT, signal.SIGHUP))
    wait_for(folder / CHECKPOINT, process)
    for number in (signal.SIGINT, signal.SIGHUP):
        process.send_signal(number)
        time.sleep(0.1)
        assert process.poll() is None, f"signal {number}, ignored at the start, ended it"
    process.terminate()
    _, errors = process.communicate()
    assert process.returncode == 143, errors
    assert "progress is saved" in errors


def test_only_ctrl_c_interrupts_the_saving_again():
    with signals_interrupt() as stop:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGINT)  # at once, as a wrapper passes it on
        time.sleep(1.1 * TOGETHER)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert (stop.signal, stop.exit_code) == (signal.SIGTERM, 143)


def test_handlers_are_put_back_and_those_of_others_stay():
    seen = []
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    try:
        with signals_interrupt() as stop:
            signal.raise_signal(signal.SIGTERM)
        assert (seen, stop.signal) == ([signal.SIGTERM], None)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with signals_interrupt():
            assert callable(signal.getsignal(signal.SIGTERM))
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


# --- one writer


def test_a_second_training_in_one_folder_is_refused(tiny, tmp_path, refused):
    folder = tmp_path / "run"
    process = start("train", tiny, *LONG, "--out", folder)
    wait_for(folder / LOCK, process)
    while not (folder / LOCK).read_text():
        time.sleep(0.001)
    for seed, more in ((1, []), (0, ["--resume"])):  # another first training, and one that would resume this
        sentence = refused("train", tiny, *(LONG if more else []), "--seed", seed, "--out", folder, *more)
        if (folder / "config.toml").exists() and not more:
            assert "expected a folder without a run" in sentence
        else:
            words = "expected a folder that no other process writes into, got one in use by process"
            assert sentence.endswith(f"{folder}: {words} {process.pid}")
    process.kill()
    process.communicate()
    assert (folder / LOCK).exists(), "a killed process removed its file"
    with locked(folder):
        pass
    assert not (folder / LOCK).exists()


def hold(folder, ready):
    with locked(folder):
        ready.send(os.getpid())
        ready.recv()


def test_a_first_training_beside_a_first_training(tiny, tmp_path, refused):
    """The other holds the folder, but has not written its configuration yet."""
    folder = tmp_path / "run"
    folder.mkdir()
    ours, theirs = multiprocessing.Pipe()
    other = multiprocessing.get_context("fork").Process(target=hold, args=(folder, theirs))
    other.start()
    pid = ours.recv()
    assert f"in use by process {pid}" in refused("train", tiny, "--out", folder)
    ours.send("end")
    other.join()
    assert contents(folder) == {}, "the refused one wrote something"


def test_a_lock_taken_while_its_file_is_removed_is_taken_again(tmp_path, monkeypatch):
    """The holder removes the file and frees the lock between our opening and our locking."""
    original, calls = fcntl.flock, []

    def late(descriptor, how):
        if not calls:
            (tmp_path / LOCK).unlink()
        calls.append(descriptor)
        original(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with locked(tmp_path):
        assert len(calls) == 2, "it holds the lock of a file that nobody else can see"
        assert (tmp_path / LOCK).read_text() == f"{os.getpid()}\n"


def test_where_there_are_no_locks_training_goes_on(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", none)
    with locked(tmp_path):
        assert (tmp_path / LOCK).exists()


# --- what a run began with


def test_the_record_of_a_run(trained):
    record = json.loads((trained / "run.json").read_text())
    assert set(record) == {"version", "data", "tokenizer", "settings"}
    assert record["version"] == elt_ref.__version__
    assert len(record["data"]) == len(record["tokenizer"]) == len(record["settings"]) == 64


@pytest.fixture
def own(tmp_path, home, done):
    """A run on a data set of a user."""

    def make(seed):
        shutil.rmtree(home / "own", ignore_errors=True)
        draw = np.random.default_rng(seed)
        arrays = {"tokens": draw.integers(0, 4, (20, 2, 2)), "labels": np.arange(20) % 2}
        from safetensors.numpy import save_file

        save_file(arrays, tmp_path / "own.safetensors")
        done("data", "import", "tokens", tmp_path / "own.safetensors", "own")

    make(0)
    text = """
    name = "own"
    data = { name = "own" }
    model.layers = 1
    model.max_loops = 2
    model.width = 4
    model.heads = 2
    model.mlp_width = 4
    model.grid = [2, 2]
    model.codebook_size = 4
    model.classes = 2
    training = { steps = 4, batch_size = 2, warmup_steps = 1 }
    """
    (tmp_path / "own.toml").write_text(text)
    done("train", tmp_path / "own.toml", "--out", tmp_path / "run")
    return tmp_path / "own.toml", tmp_path / "run", make


def test_data_that_changed_under_the_same_name(own, refused, done):
    config, folder, make = own
    done("train", config, "--out", folder, "--resume")
    before = contents(folder)
    make(1)
    sentence = refused("train", config, "--out", folder, "--resume")
    assert f"{folder}: expected data set 'own' as the run began with (SHA-256 " in sentence
    assert "got other data under that name" in sentence
    assert contents(folder) == before
    make(0)
    done("train", config, "--out", folder, "--resume")


def test_the_digest_is_of_what_a_run_sees():
    from dataclasses import replace

    from elt_ref.run.record import data_digest

    digits = tiny_datasets.load("digits")
    same = replace(digits, name="other", description="other", licence="", source="")
    examples = digits.train.examples.copy()
    examples[7, 3, 3] ^= 1
    labels = digits.test.labels.copy()
    labels[0] = (labels[0] + 1) % 10
    others = [
        replace(digits, train=replace(digits.train, examples=examples)),
        replace(digits, test=replace(digits.test, labels=labels)),
        replace(digits, classes=digits.classes[::-1]),
        replace(digits, white=255),
    ]
    assert data_digest(same) == data_digest(digits)
    assert len({data_digest(each) for each in (digits, *others)}) == 5


def spoil_record(folder, **changes):
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**record, **changes}))


def test_another_version(copied, refused, tiny):
    spoil_record(copied, version="0.0.9")
    sentence = refused("train", tiny, "--out", copied, "--resume")
    assert (
        "expected elt_ref 0.0.9, which the run began with and whose numbers another version may not repeat, "
        in sentence
    )
    assert sentence.endswith(f"got {elt_ref.__version__}; resume with that version, or train anew")


@pytest.mark.parametrize("command_", ["train", "sample", "evaluate", "compare"])
def test_another_tokenizer(copied, refused, tiny, tmp_path, command_):
    spoil_record(copied, tokenizer="0" * 64)
    words = {
        "train": (tiny, "--out", copied, "--resume"),
        "sample": (copied, "--out", tmp_path / "p.png"),
        "evaluate": (copied,),
        "compare": (copied, "--out", tmp_path / "out"),
    }[command_]
    assert "expected the tokenizer.safetensors that the run began with (SHA-256 000000000000…), got another" in refused(
        command_, *words
    )


@pytest.mark.parametrize("command_", ["evaluate", "compare"])
def test_a_run_is_not_judged_by_other_data(copied, refused, tmp_path, command_):
    spoil_record(copied, data="0" * 64)
    words = (copied,) if command_ == "evaluate" else (copied, "--out", tmp_path / "out")
    assert "expected data set 'digits' as the run began with" in refused(command_, *words)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": "1"}', "\0", "[" * 100_000])
@pytest.mark.parametrize("command_", ["train", "sample"])
def test_a_damaged_record(copied, refused, tiny, tmp_path, text, command_):
    (copied / "run.json").write_text(text)
    words = (tiny, "--out", copied, "--resume") if command_ == "train" else (copied, "--out", tmp_path / "x.png")
    assert "run.json: expected the record that the run's first step wrote, got " in refused(command_, *words)


@pytest.mark.parametrize(
    ("key", "value"),
    [("version", 1), ("data", None), ("data", 5), ("tokenizer", 5), ("idea", 5), ("idea", {}), ("idea", {"name": "x"})],
)
@pytest.mark.parametrize("command_", ["train", "sample"])
def test_a_record_of_other_types(copied, refused, tiny, tmp_path, key, value, command_):
    spoil_record(copied, **{key: value})
    words = (tiny, "--out", copied, "--resume") if command_ == "train" else (copied, "--out", tmp_path / "x.png")
    sentence = refused(command_, *words)
    assert "run.json: expected the record that the run's first step wrote, got " in sentence
    assert f" at {key}" in sentence


def test_a_record_that_an_editor_saved(copied, done, tmp_path):
    text = (copied / "run.json").read_text("utf-8")
    for encoding in ("utf-8-sig", "utf-16"):
        (copied / "run.json").write_text(text, encoding)
        done("sample", copied, "--out", tmp_path / "x.png", "--count", "1")


def test_a_damaged_log_changes_nothing(copied, refused, tiny):
    log = copied / "metrics.jsonl"
    log.write_text(f"no entry\n{log.read_text('utf-8')}", "utf-8")
    before = contents(copied)
    constant = ("--set", "training.schedule=constant")
    for words in ((), ("--steps", "99", *constant)):
        refused("train", tiny, "--out", copied, "--resume", *words)
        assert contents(copied) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [("heads = 2", "heads = 1"), ('kind = "ilsd"', 'kind = "vanilla"'), ("learning_rate = ", "learning_rate = 1")],
)
@pytest.mark.parametrize("command_", ["train", "sample", "evaluate"])
def test_settings_that_were_changed_by_hand(copied, refused, tmp_path, old, new, command_):
    path = copied / "config.toml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    words = {
        "train": (path, "--out", copied, "--resume"),
        "sample": (copied, "--out", tmp_path / "x.png"),
        "evaluate": (copied,),
    }[command_]
    assert "config.toml: expected the settings that the run began with" in refused(command_, *words)


def test_only_what_training_depends_on_is_in_the_digest_of_the_settings():
    config = load_preset("digits-masked")
    digest = settings_digest(config)
    for name, value in {"training.steps": 7, "training.log_every": 7, "sampling.steps": 7, "name": "other"}.items():
        assert settings_digest(load_preset("digits-masked", {name: value})) == digest, name
    for name, value in {"seed": 1, "training.learning_rate": 1e-4, "model.heads": 2}.items():
        assert settings_digest(load_preset("digits-masked", {name: value})) != digest, name
    plain = config.model_copy(update={"training": type(config.training)()})
    assert settings_digest(plain) != digest, "a training with nothing but defaults has a digest too"


def test_sampling_settings_may_be_changed_by_hand(copied, done, tmp_path):
    path = copied / "config.toml"
    text = path.read_text("utf-8")
    changed = re.sub(r"(\[sampling\]\nsteps = )\d+", r"\g<1>2", text)
    assert changed != text
    path.write_text(changed, "utf-8")
    done("sample", copied, "--out", tmp_path / "x.png", "--count", "1")


@pytest.mark.parametrize("name", ["checkpoint.safetensors", "tokenizer.safetensors", "link.safetensors"])
def test_samples_never_replace_a_file_of_a_run(copied, refused, trained, name):
    (copied / "link.safetensors").symlink_to("checkpoint.safetensors")
    before = contents(copied)
    for run in (copied, trained):
        assert "expected a file that belongs to no run, got " in refused("sample", run, "--out", copied / name)
    assert contents(copied) == before


def test_a_stray_tokenizer_is_not_taken(copied, refused, tiny, tmp_path):
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "tokenizer.safetensors").write_bytes((copied / "tokenizer.safetensors").read_bytes())
    assert "got tokenizer.safetensors without config.toml" in refused("train", tiny, "--out", folder)


def test_a_log_that_was_lost_is_said(tiny, copied, done):
    (copied / "metrics.jsonl").unlink()
    assert "metrics.jsonl lacks " in done("train", tiny, "--out", copied, "--resume").err


def test_a_lost_record(copied, refused, tiny):
    (copied / "run.json").unlink()
    assert f"expected a whole run, got {CHECKPOINT} without run.json" in refused(
        "train", tiny, "--out", copied, "--resume"
    )


@pytest.mark.parametrize("command_", ["train", "sample", "evaluate", "compare"])
def test_a_changed_byte_of_a_checkpoint_is_found_by_every_reader(copied, refused, tiny, tmp_path, command_):
    content = bytearray((copied / CHECKPOINT).read_bytes())
    content[-99] ^= 4
    (copied / CHECKPOINT).write_bytes(content)
    words = {
        "train": (tiny, "--out", copied, "--resume"),
        "sample": (copied, "--out", tmp_path / "p.png"),
        "evaluate": (copied,),
        "compare": (copied, "--out", tmp_path / "out"),
    }[command_]
    assert "expected the checksum of its header, got another: a byte has changed" in refused(command_, *words)


# --- more steps

CONSTANT = ["--set", "training.schedule=constant"]


def test_a_plain_training_goes_on_to_more_steps_as_if_from_the_start(tiny, tmp_path, done):
    plain = [*CONSTANT, "--set", "objective.kind=vanilla", "--set", "training.log_every=1"]
    done("train", tiny, *plain, "--out", tmp_path / "run")
    result = done("train", tiny, *plain, "--steps", 7, "--out", tmp_path / "run", "--resume")
    assert "goes on from step 4 to 7 instead of 4: the rate is 0.001, and the result is that of 7 steps" in result.err
    done("train", tiny, *plain, "--steps", 7, "--out", tmp_path / "whole")
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_more_steps_of_ilsd_say_what_becomes_of_lambda(tiny, tmp_path, done):
    done("train", tiny, *CONSTANT, "--set", "training.log_every=1", "--out", tmp_path / "run")
    words = ["train", tiny, *CONSTANT, "--set", "training.log_every=1", "--steps", 9, "--out", tmp_path / "run"]
    result = done(*words, "--resume")
    assert "λ, which was 0.000, becomes 0.500 and falls to 0 at the new end" in result.err
    weights = [entry["truth_weight"] for entry in read_metrics(tmp_path / "run" / METRICS)]
    np.testing.assert_allclose(weights, [1, 2 / 3, 1 / 3, 0, 1 / 2, 3 / 8, 1 / 4, 1 / 8, 0], atol=1e-12)
    before = contents(tmp_path / "run")
    assert "λ" not in done(*words, "--resume").err
    assert contents(tmp_path / "run") == before


def test_a_rate_that_falls_to_the_end_cannot_go_on(tiny, refused, trained):
    before = contents(trained)
    sentence = refused("train", tiny, "--steps", 9, "--out", trained, "--resume")
    assert f"training.steps: expected 4, to which the cosine learning rate of {trained} falls, got 9" in sentence
    assert contents(trained) == before


def test_steps_and_something_else_are_another_run(tiny, refused, trained):
    words = ["--steps", 9, "--set", "training.beta1=0.5"]
    assert "training.steps = 9 where it has 4" in refused("train", tiny, *words, "--out", trained, "--resume")


# --- the demo


@pytest.mark.whole
def test_a_terminated_demo_saves_both_models(tmp_path):
    folder = tmp_path / "demo"
    process = start("demo", "--out", folder)
    wait_for(folder / "ilsd" / METRICS, process)
    wait_for(folder / "vanilla" / METRICS, process)
    time.sleep(0.5)
    process.terminate()
    _, errors = process.communicate()
    assert process.returncode == 143, errors
    assert "Traceback" not in errors
    assert all(open_run(folder / kind).step for kind in ("ilsd", "vanilla"))
    assert Path(folder / "vanilla" / LOCK).exists() is False
