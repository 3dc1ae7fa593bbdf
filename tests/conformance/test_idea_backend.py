"""The judge says which clauses a network with an idea leaves."""

import pytest

from elt_ref.conformance.case import read_vectors
from elt_ref.conformance.doors import PythonDoor
from elt_ref.conformance.idea_backend import IdeaBackend
from elt_ref.conformance.judge import judge
from elt_ref.idea import idea_of
from elt_ref.run.idea import load_idea

LEAVES = {
    "input_injection": {"LOOP-01"},
    "loop_index": {"LOOP-01"},
    "truncated_backprop": {"GRAD-01"},
    "random_loops": {"DISTIL-01", "DISTIL-07", "STEP-05"},
    "every_loop": {"DISTIL-01", "DISTIL-07", "STEP-05"},
    "weighted_loops": {"DISTIL-07", "STEP-05"},
    "no_stop_gradient": {"DISTIL-03", "STEP-05"},
    "cosine_weight": {"DISTIL-06", "STEP-05"},
    "exit_entropy": set(),
    "exit_kl": set(),
}
"""Some clauses that each shipped idea leaves."""
ASKED = "LOOP-01,DISTIL-01,DISTIL-03,DISTIL-06,DISTIL-07,GRAD-01,STEP-05,DECODE-01"
SAME = """
from elt_ref import loop_states as plain
from elt_ref.model import post_norm_layer as layer

def loop_states(block, x, loops):
    return plain(block, x, loops)

def post_norm_layer(parameters, x, *, heads, epsilon):
    return layer(parameters, x, heads=heads, epsilon=epsilon)
"""


@pytest.fixture(scope="module")
def vectors():
    return read_vectors()


def left(idea, vectors):
    report = judge(PythonDoor(IdeaBackend(idea)), vectors, only=ASKED)
    return {verdict.clause.id for verdict in report.failed}


@pytest.mark.few(3)
@pytest.mark.parametrize("name", LEAVES)
def test_the_judge_names_what_an_idea_leaves(name, vectors):
    found = left(load_idea(name), vectors)
    assert found >= LEAVES[name], found
    assert found or not LEAVES[name]
    assert LEAVES[name] or not found, found


def test_an_idea_that_is_the_package_leaves_nothing(vectors):
    idea = idea_of(SAME, "same")
    assert not judge(PythonDoor(IdeaBackend(idea)), vectors, only="LOOP-01,GRAD-01,STEP-05,GUIDE,DIFFLOOP").failed


def test_the_report_names_the_idea():
    assert IdeaBackend(load_idea("loop_index")).describe().name == "elt_ref + loop_index"


def test_the_command_says_what_an_idea_leaves_and_keeps_and_gives_no_advice(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("conform", "run", "--idea", "cosine_weight", "--only", "trainer", "--questions", "4")
    code, out, _ = command(*words)
    assert code == 1
    said = " ".join(out.split())
    assert "With the idea cosine_weight the package leaves " in said
    assert "STEP-05" in said
    assert "fail alike" not in said
    assert not [*tmp_path.iterdir()], "no question is written: nothing is to be mended"


def test_an_idea_is_judged_alone(refused, tmp_path):
    words = ["conform", "run", "--idea", "loop_index"]
    assert "--idea: expected no other backend, got mine.py:Backend" in refused(*words, "mine.py:Backend")
    assert "idea: expected a file.py or one of " in refused("conform", "run", "--idea", tmp_path)
