import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_study import SETTINGS

from elt_ref.config import load_preset
from elt_ref.errors import RequestError, TrainingError
from elt_ref.measure.interval import Interval
from elt_ref.run.idea import load_idea, try_idea
from elt_ref.run.lock import locked
from elt_ref.study import conduct as conducting
from elt_ref.study import job
from elt_ref.study.claims import STUDIES
from elt_ref.study.conduct import Request, conduct
from elt_ref.study.job import TRAININGS, Job, idea_source, learned_nothing
from elt_ref.study.page import write_pages as make_pages
from elt_ref.study.verdict import at_most
from elt_ref.study.workers import _Worker
from elt_ref.terminal import Terminal

pytestmark = pytest.mark.usefixtures("as_user")  # they train; enforced types would make that slow

QUIET = Terminal(stderr=True, quiet=True)
NAMES = [*STUDIES]
SHAPES = {"model.codebook_size": 40, "model.initial_deviation": 0.1}


def test_every_study_is_listed_with_claim_and_criterion(done):
    listed = json.loads(done("study", "list", "--json").out)["studies"]
    assert [entry["study"] for entry in listed] == NAMES
    assert all(entry["claim"] and entry["criterion"] and entry["place"] for entry in listed)
    assert all(entry["seeds"] >= (5 if entry["study"] == "elasticity" else 3) for entry in listed)
    table = done("study", "list").out
    assert all(name in table for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("quick", [True, False])
def test_every_model_of_a_study_has_a_valid_configuration(name, quick):
    arms = STUDIES[name].arms(quick)
    assert len({arm.name for arm in arms}) == len(arms)
    assert all(arm.rate_of is None or arm.rate_of in {other.name for other in arms} for arm in arms)
    for arm in arms:
        for rate in arm.rates or (None,):
            arm.config(0, rate)


def test_every_idea_of_the_terms_can_be_trained():
    for arm in STUDIES["terms"].arms(True):
        if arm.idea is not None:
            config = load_preset(arm.preset, {**SETTINGS, **SHAPES, "objective.kind": "ilsd"})
            try_idea(config, load_idea(idea_source(arm.idea)))


def test_an_idea_is_part_of_a_trainings_digest(tmp_path):
    config = load_preset("digits-masked")
    places = {Job(tmp_path, config, (), idea).place for idea in (None, "no_distillation", "every_loop")}
    assert len(places) == 3


def terms_of(name):
    """The loss of an idea, with made-up losses: 100 for the teacher's truth, 10 the student's, 1 for distillation."""

    class Target:
        def ground_truth(self, prediction):
            return {1: 10.0, 2: 100.0}[prediction.item()]

        def distillation(self, *_):
            return 1.0

    namespace = {}
    exec(idea_source(name).read_text("utf-8"), namespace)  # noqa: S102  our own file
    return namespace["objective"](Target(), {1: np.ones(1), 2: np.full(1, 2.0)}, truth_weight=0.25)


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("no_teacher_truth", 2.5 + 0.75),
        ("no_student_truth", 100 + 0.75),
        ("no_distillation", 100 + 2.5),
        ("divergence", 100 + 2.5),
        ("student_all", 100 + 2.5 + 0.75),
    ],
)
def test_each_term_is_off_in_its_file(name, loss):
    assert terms_of(name) == pytest.approx(loss)


@pytest.mark.usefixtures("tiny")
def test_a_study_writes_json_figure_page_and_index(done, tmp_path):
    out = tmp_path / "out"
    printed = json.loads(done("study", "tiny", "--quick", "--out", out, "--processes", 1, "--json").out)
    assert {"study", "claim", "criterion", "verdict", "seeds", "rows"} <= printed.keys()
    assert printed["seeds"] == 3
    assert printed["verdict"] in ("holds here", "does not", "not decidable here")
    assert len(printed["rows"]) == 2 * (2 * 3 + 2)  # models × (loops × qualities + loops)
    for row in printed["rows"]:
        assert len(row["values"]) == 3
        assert row["low"] <= row["mean"] <= row["high"]
    document = json.loads((out / "tiny.json").read_text("utf-8"))
    assert printed.items() <= document.items()
    page = (out / "tiny.md").read_text("utf-8")
    assert document["verdict"] in page
    assert "quick run" in page
    assert "elt-ref study tiny --quick" in page
    assert (out / "tiny.png").stat().st_size > 5000
    assert "tiny.md" in (out / "README.md").read_text("utf-8")
    # seed 0 of the chosen rate was trained once: two models, two rates, two more seeds
    assert len([*(out / TRAININGS).iterdir()]) == 2 * (2 + 2)


@pytest.mark.usefixtures("tiny")
def test_the_chosen_rate_has_the_least_held_out_loss(done, tmp_path):
    done("study", "tiny", "--quick", "--out", tmp_path, "--processes", 1, "--seeds", 1)
    for model in json.loads((tmp_path / "tiny.json").read_text("utf-8"))["models"]:
        tried = model["held_out_loss_by_rate"]
        assert float(min(tried, key=tried.get)) == model["settings"]["training.learning_rate"]


@pytest.mark.usefixtures("tiny")
def test_pages_are_made_again_from_their_json_alone(done, tmp_path):
    done("study", "tiny", "--quick", "--out", tmp_path, "--processes", 1, "--seeds", 1)
    shutil.rmtree(tmp_path / TRAININGS)
    made = {name: (tmp_path / name).read_bytes() for name in ("tiny.md", "tiny.png", "README.md")}
    for name in made:
        (tmp_path / name).unlink()
    make_pages(tmp_path)
    assert made == {name: (tmp_path / name).read_bytes() for name in made}


def test_an_interrupted_study_goes_on_to_the_same_json(tiny, tmp_path, monkeypatch):
    request = Request(quick=True, seeds=2, out=tmp_path / "whole", processes=1)
    conduct(tiny, request, QUIET)
    whole = (tmp_path / "whole" / "tiny.json").read_bytes()

    out = tmp_path / "again"
    performed = conducting.perform_all

    def killed(jobs, *, processes, on_done):
        performed(jobs[:1], processes=processes, on_done=on_done)
        raise KeyboardInterrupt

    request = Request(quick=True, seeds=2, out=out, processes=1)
    for _ in range(3):
        monkeypatch.setattr(conducting, "perform_all", killed)
        with pytest.raises(KeyboardInterrupt):
            conduct(tiny, request, QUIET)
        assert not (out / "tiny.json").exists()
    monkeypatch.setattr(conducting, "perform_all", performed)
    conduct(tiny, request, QUIET)
    assert (out / "tiny.json").read_bytes() == whole

    def nothing_left(*_, **__):
        raise AssertionError

    monkeypatch.setattr(conducting, "perform_all", nothing_left)
    conduct(tiny, request, QUIET)
    assert (out / "tiny.json").read_bytes() == whole


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
if __name__ == "__main__":
    from tiny_study import TINY
    from dataclasses import replace
    from elt_ref.study.claims import STUDIES
    from elt_ref.study.conduct import Request, conduct
    from elt_ref.terminal import Terminal
    STUDIES["tiny"] = TINY
    conduct(TINY, Request(True, 2, Path(sys.argv[1]), 2), Terminal(stderr=True, quiet=True))
"""


@pytest.mark.whole
def test_a_killed_study_of_two_processes_goes_on_to_the_same_json(tiny, tmp_path):
    script = tmp_path / "conduct.py"
    script.write_text(KILLED.format(tests=str(Path(__file__).parent)), "utf-8")
    out = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, script, out])
    deadline = time.monotonic() + 100
    while not [*out.glob(f"{TRAININGS}/*/run/checkpoint.safetensors")] and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (out / "tiny.json").exists()
    subprocess.run([sys.executable, script, out], check=True)
    conduct(tiny, Request(quick=True, seeds=2, out=tmp_path / "whole", processes=1), QUIET)
    assert (out / "tiny.json").read_bytes() == (tmp_path / "whole" / "tiny.json").read_bytes()


@pytest.mark.parametrize("seeds", [{1}, {0, 1, 2}])
def test_diverged_trainings_decide_nothing(tiny, tmp_path, monkeypatch, seeds):
    train_run = job.train_run

    def diverge(config, *words, **settings):
        if config.seed in seeds:
            raise TrainingError("training step 3: expected a finite loss, got NaN")
        return train_run(config, *words, **settings)

    monkeypatch.setattr(job, "train_run", diverge)
    request = Request(quick=True, seeds=3, out=tmp_path, processes=1)
    if len(seeds) == request.seeds:
        with pytest.raises(TrainingError, match="expected 'ILSD' to train with some seed, got training step 3"):
            conduct(tiny, request, QUIET)
        return
    document = conduct(tiny, request, QUIET)
    assert document["verdict"] == "not decidable here"
    assert all(row["values"][1] is None and row["mean"] is None for row in document["rows"])
    assert "could not be computed" in (tmp_path / "tiny.md").read_text("utf-8")
    monkeypatch.setattr(job, "train_run", None)  # what has diverged is not trained again
    assert conduct(tiny, request, QUIET) == document


@pytest.mark.whole
@pytest.mark.parametrize("may_fail", [False, True])
def test_models_that_learn_nothing_are_said_and_decide_nothing(tiny, tmp_path, monkeypatch, may_fail):
    def arms(quick):
        return [replace(arm, may_fail=may_fail) for arm in tiny.arms(quick)]

    monkeypatch.setattr(conducting, "learned_nothing", lambda job: job.config.objective.kind == "vanilla")
    unlearned = replace(tiny, arms=arms, judge=lambda _: [at_most("It", Interval(1.0, 0.9, 1.1, 3), 2.0)])
    document = conduct(unlearned, Request(quick=True, seeds=1, out=tmp_path, processes=1), QUIET)
    assert document["unlearned"] == {"vanilla": 1}
    assert document["verdict"] == ("holds here" if may_fail else "not decidable here")
    assert "vanilla: nothing was learned in 1 of 1 trainings" in (tmp_path / "tiny.md").read_text("utf-8")


def test_a_log_at_the_blind_loss_shows_that_nothing_was_learned(tmp_path):
    config = load_preset("digits-masked", {"training.steps": 600})
    done = Job(tmp_path, config, ())
    (done.place / "run").mkdir(parents=True)
    for loss, expected in ((1.0, True), (0.5, False)):
        entry = {"teacher_truth": loss, "blind_loss": 1.0, "input_share": 0.1}
        lines = [json.dumps({"step": step, **entry}) for step in range(10, 601, 10)]
        (done.place / "run" / "metrics.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
        assert learned_nothing(done) == expected


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["elasticty"], "did you mean 'elasticity'?"),
        (["parit"], "expected one of"),
        (["parity", "--seeds", 0], "--seeds: expected an integer from 1 to 1,000, got 0"),
        (["parity", "--seeds", -3], "--seeds: expected an integer from 1 to 1,000, got -3"),
        (["parity", "--seeds", 10**30], "--seeds: expected an integer from 1 to 1,000"),
        (["parity", "--seeds", "three"], "--seeds"),
        (["parity", "--processes", 0], "--processes: expected an integer"),
    ],
)
def test_a_wrong_request_is_one_sentence(refused, tmp_path, words, sentence):
    assert sentence in refused("study", *words, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("tiny")
def test_a_folder_in_use_is_refused(refused, tmp_path):
    with locked(tmp_path):
        assert "in use by process" in refused("study", "tiny", "--quick", "--out", tmp_path)


@pytest.mark.usefixtures("tiny")
def test_a_file_and_a_damaged_result_are_refused(refused, tmp_path):
    (tmp_path / "file").write_text("x")
    assert "file" in refused("study", "tiny", "--quick", "--out", tmp_path / "file")
    (tmp_path / "tiny.json").write_text("[1, 2")
    assert "expected the JSON of a study" in refused("study", "tiny", "--quick", "--out", tmp_path)


def test_a_quick_study_does_not_take_the_place_of_a_whole_one(tiny, tmp_path):
    conduct(tiny, Request(quick=False, seeds=1, out=tmp_path, processes=1), QUIET)
    with pytest.raises(RequestError, match="expected no whole study"):
        conduct(tiny, Request(quick=True, seeds=1, out=tmp_path, processes=1), QUIET)


def test_a_process_without_work_ends_by_itself():
    """A signal while it ends would print a traceback."""
    worker = _Worker()
    worker.end(busy=False)
    assert worker.process.exitcode == 0


def test_a_signal_that_comes_while_a_process_loads_waits():
    """An import that is interrupted would print a traceback."""
    worker = _Worker()
    os.kill(worker.process.pid, signal.SIGINT)
    worker.process.join(60)
    assert worker.process.exitcode == 128 + signal.SIGINT
    worker.end(busy=False)
