"""`elt-ref train --idea`: a run keeps its idea, uses it without being told again, and says so everywhere."""

import json
import shutil

import pytest
from tiny_runs import TINY

from elt_ref.arrays import tree_leaves
from elt_ref.config import load_config, parse_config
from elt_ref.errors import RequestError
from elt_ref.run.folder import open_run
from elt_ref.run.idea import load_idea, shipped_ideas
from elt_ref.run.train import train_run
from elt_ref.training import CHECKPOINT, METRICS, load_checkpoint, read_metrics

MINE = """
from elt_ref import loop_states as plain

def loop_states(block, x, loops):
    yield from plain(lambda state: 0.5 * (state + block(state)), x, loops)
"""


@pytest.fixture
def mine(tmp_path):
    """An idea of a user."""
    path = tmp_path / "damped.py"
    path.write_text(MINE, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def injected(tmp_path_factory):
    """A run with a shipped idea that has tensors of its own; to look at."""
    folder = tmp_path_factory.mktemp("runs") / "injected"
    train_run(parse_config(TINY, where="tiny"), folder, idea="input_injection")
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_run_keeps_its_idea(done, tiny, mine, tmp_path):
    out = tmp_path / "run"
    result = done("train", tiny, "--idea", mine, "--out", out)
    assert f"Trained to step 4 with the idea damped in {out}." in result.err
    assert (out / "idea.py").read_text(encoding="utf-8") == MINE
    recorded = json.loads((out / "run.json").read_text())["idea"]
    assert recorded == {"name": "damped", "sha256": load_idea(mine).digest}
    run = open_run(out)
    assert run.idea is not None
    assert run.idea.name == "damped"
    assert run.marked("a") == "a + damped"


def test_a_plain_run_says_nothing_of_ideas(trained):
    assert "idea" not in (trained / "run.json").read_text()
    assert open_run(trained).marked("a") == "a"


def test_resuming_needs_no_name_and_ends_in_the_same_bytes(done, tiny, injected, tmp_path):
    out = tmp_path / "run"
    done("train", tiny, "--idea", "input_injection", "--steps", 2, "--set", "training.schedule=constant", "--out", out)
    done("train", tiny, "--set", "training.schedule=constant", "--out", out, "--resume")
    done("train", tiny, "--idea", "input_injection", "--set", "training.schedule=constant", "--out", tmp_path / "whole")
    ends = [
        load_checkpoint(folder / CHECKPOINT, load_config(folder / "config.toml"), load_idea("input_injection"))
        for folder in (out, tmp_path / "whole")
    ]
    assert ends[0].step == ends[1].step == 4
    before = contents(injected)
    done("train", tiny, "--out", injected, "--resume")
    done("train", tiny, "--out", injected, "--resume", "--idea", "input_injection")
    assert contents(injected) == before


def test_a_stopped_run_goes_on_to_the_same_bytes(tiny, tmp_path, monkeypatch):
    config, whole, broken = load_config(tiny), tmp_path / "whole", tmp_path / "broken"
    train_run(config, whole, idea="weighted_loops")
    assert [entry["student_loops"] for entry in read_metrics(whole / METRICS)] == [[1, 2]] * 3
    from elt_ref.training import trainer

    def stop(*arguments, **settings):
        if arguments[0].step == 3:
            raise KeyboardInterrupt
        return step(*arguments, **settings)

    step = trainer.train_step
    monkeypatch.setattr(trainer, "train_step", stop)
    with pytest.raises(KeyboardInterrupt):
        train_run(config, broken, idea="weighted_loops")
    monkeypatch.undo()
    train_run(config, broken, resume=True)
    assert contents(broken) == contents(whole)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--idea", "loop_index"], "as when the run began, got the idea loop_index ("),
        (["--idea", "inpt_injection"], "did you mean 'input_injection'?"),
    ],
)
def test_a_run_goes_on_with_no_other_idea(refused, tiny, injected, words, message):
    before = contents(injected)
    assert message in refused("train", tiny, *words, "--out", injected, "--resume")
    assert contents(injected) == before


def test_a_plain_run_takes_no_idea_later(refused, tiny, trained):
    before = contents(trained)
    sentence = refused("train", tiny, "--idea", "loop_index", "--out", trained, "--resume")
    assert "expected no idea as when the run began, got the idea loop_index" in sentence
    assert contents(trained) == before


def spoiled(folder, what):
    if what == "changed":
        (folder / "idea.py").write_text(shipped_ideas()["loop_index"], encoding="utf-8")
    elif what == "lost":
        (folder / "idea.py").unlink()
    elif what == "forgotten":
        record = json.loads((folder / "run.json").read_text())
        del record["idea"]
        (folder / "run.json").write_text(json.dumps(record))
    else:
        for name in ("run.json", "idea.py"):
            (folder / name).unlink()


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("changed", "expected the idea input_injection ("),
        ("lost", "expected idea.py with the idea input_injection of the run, got none"),
        ("forgotten", "expected no idea.py, for the run began without an idea, got one"),
        ("both gone", "expected one that was trained with no idea, got one with the idea of SHA-256 "),
    ],
)
def test_an_idea_that_changed_since_the_run_began(refused, tiny, injected, tmp_path, what, message):
    folder = tmp_path / "run"
    shutil.copytree(injected, folder)
    spoiled(folder, what)
    for words in (
        ["sample", folder, "--out", tmp_path / "x.png"],
        ["evaluate", folder],
        ["compare", folder, "--out", tmp_path / "compared"],
    ):
        assert message in refused(*words)
    if what != "both gone":
        assert message in refused("train", tiny, "--out", folder, "--resume")


@pytest.mark.parametrize("kept", [["run.json"], ["run.json", "idea.py", "config.toml"], []])
def test_a_run_that_was_killed_at_its_start_goes_on_if_the_idea_is_named(done, tiny, injected, tmp_path, kept):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in kept:
        (folder / name).write_bytes((injected / name).read_bytes())
    done("train", tiny, "--idea", "input_injection", "--out", folder, "--resume")
    assert contents(folder) == contents(injected)


def test_a_changed_copy_is_not_gone_on_with_though_the_idea_is_named(refused, tiny, injected, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(injected, folder)
    (folder / "idea.py").write_text(MINE, encoding="utf-8")
    sentence = refused("train", tiny, "--idea", "input_injection", "--out", folder, "--resume")
    assert sentence == f"{folder / 'idea.py'}: expected the text of the idea input_injection, got another"


def test_nothing_is_left_where_an_idea_is_refused(refused, tiny, tmp_path):
    path = tmp_path / "wrong.py"
    path.write_text(MINE.replace("0.5 *", "0.5 * float('nan') *"), encoding="utf-8")
    sentence = refused("train", tiny, "--idea", path, "--out", tmp_path / "deep" / "run")
    assert sentence.startswith("idea wrong: expected a finite loss")
    assert not (tmp_path / "deep").exists()


def test_a_folder_with_a_stray_idea_takes_no_plain_run(refused, tiny, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "idea.py").write_text(MINE)
    assert "expected no idea.py in the folder of a run without an idea" in refused(
        "train", tiny, "--out", tmp_path / "run"
    )


def test_somebody_elses_code_is_announced(done, tiny, mine, injected, tmp_path):
    folder = tmp_path / "run"
    assert "Warning" not in done("train", tiny, "--idea", mine, "--out", folder).err
    for words in (["sample", folder, "--out", tmp_path / "a.png"], ["train", tiny, "--out", folder, "--resume"]):
        assert done(*words).err.count(f"Warning: {folder} holds an idea of its own, idea.py; its code runs with") == 1
    assert "Warning" not in done("sample", injected, "--out", tmp_path / "b.png").err


def test_the_average_of_an_idea_is_opened(injected):
    run = open_run(injected)
    state = load_checkpoint(injected / CHECKPOINT, run.config, run.idea)
    assert len(tree_leaves(run.parameters["idea"])) == 2
    for ours, theirs in zip(tree_leaves(run.parameters["idea"]), tree_leaves(state.average["idea"]), strict=True):
        assert (ours == theirs).all()
    with pytest.raises(RequestError, match="expected one that was trained with no idea"):
        load_checkpoint(injected / CHECKPOINT, run.config)


# --- what is drawn and judged says with which idea


def test_evaluate_names_the_idea(done, injected, trained):
    words = ["--loops", 1, "--count", 10]
    assert json.loads(done("evaluate", injected, *words, "--json").out)["idea"] == {
        "name": "input_injection",
        "sha256": load_idea("input_injection").digest,
        "trained": True,
    }
    assert f"{injected} + input_injection, 10 samples each" in done("evaluate", injected, *words).out
    assert "idea" not in json.loads(done("evaluate", trained, *words, "--json").out)


def test_sample_names_the_idea(done, injected, tmp_path):
    assert "with the idea input_injection" in done("sample", injected, "--out", tmp_path / "x.png").err


def test_compare_marks_what_is_not_the_papers(done, injected, trained, tmp_path):
    out = tmp_path / "out"
    result = done("compare", injected, trained, "--out", out, "--count", 10)
    document = json.loads((out / "results.json").read_text())
    assert list(document) == ["max_loops", "real_distance", "ideas", "injected + input_injection", "tiny"]
    assert document["ideas"]["injected + input_injection"]["trained"] is True
    sentence = "injected + input_injection is not the paper's model: it is trained and drawn with an idea that replaces"
    page = (out / "report.html").read_text(encoding="utf-8")
    assert sentence in " ".join(result.err.split())
    assert sentence in page
    assert f"input_injection, SHA-256 {load_idea('input_injection').digest}" in page


def test_a_plain_run_is_drawn_with_an_idea_that_trains_nothing(done, trained, mine, tmp_path):
    out = tmp_path / "out"
    done("compare", trained, "--idea", mine, "--out", out, "--count", 10)
    document = json.loads((out / "results.json").read_text())
    assert document["ideas"] == {
        "tiny drawn with damped": {"name": "damped", "sha256": load_idea(mine).digest, "trained": False}
    }
    plain, drawn = document["tiny"], document["tiny drawn with damped"]
    assert [row["frechet_distance"] for row in plain] != [row["frechet_distance"] for row in drawn]
    words = ["evaluate", trained, "--loops", "exit:0.99", "--count", 10, "--json"]
    left = json.loads(done(*words, "--idea", "exit_entropy").out)
    assert left["idea"]["trained"] is False
    stayed = json.loads(done("evaluate", trained, "--loops", "exit:0", "--count", 10, "--json").out)
    assert left["results"][0]["gflops_per_sample"] < stayed["results"][0]["gflops_per_sample"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("loop_index", "post_norm_layer, got loop_index with init"),
        ("cosine_weight", "got cosine_weight with truth_weight_at"),
    ],
)
def test_an_idea_of_training_draws_nothing(refused, trained, tmp_path, name, message):
    for words in (["sample", trained, "--out", tmp_path / "x.png"], ["evaluate", trained]):
        assert message in refused(*words, "--idea", name)
    assert message in refused("compare", trained, "--idea", name, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_is_drawn_with_no_idea_but_its_own(refused, done, injected, tmp_path):
    words = ["sample", injected, "--out", tmp_path / "x.png", "--idea"]
    assert f"{injected}: expected its own idea input_injection or none named, got exit_kl" in refused(*words, "exit_kl")
    done(*words, "input_injection")
