"""What does not learn is marked wherever it is looked at."""

import json

import pytest

from elt_ref.training import METRICS, learning


@pytest.fixture
def collapsed(copied):
    """A run whose log shows a loss that fell and rose again."""
    shares = [1.0] * 5 + [0.5] * 30 + [1.0] * 15
    entry = {"loss": 3.0, "blind_loss": 3.0, "input_share": 0.1, "gradient_norm": 1.0, "learning_rate": 1e-3}
    log = [
        {**entry, "step": 10 * (number + 1), "teacher_truth": 3 * share, "student_truth": 3.0, "distillation": 3.0}
        for number, share in enumerate(shares)
    ]
    (copied / METRICS).write_text("".join(json.dumps(each) + "\n" for each in log), encoding="utf-8")
    return copied


FELL = "its loss fell to 0.50 of the loss of guessing by step 150, and is 1.00 of it since step 410."
WORDS = f"tiny does not learn: {FELL}"


def test_evaluate_marks_it(collapsed, done):
    result = done("evaluate", collapsed, "--loops", 1, "--count", 10)
    assert WORDS in result.err
    document = json.loads(done("evaluate", collapsed, "--loops", 1, "--count", 10, "--json").out)
    assert document["notice"].startswith(WORDS)
    assert "Try training.learning_rate=0.0003 (now 0.001)" in document["notice"]


def test_evaluate_says_nothing_of_one_that_learns(trained, done):
    result = done("evaluate", trained, "--loops", 1, "--count", 10, "--json")
    assert set(json.loads(result.out)) == {"results", "held_out"}


def test_compare_marks_it(collapsed, done, tmp_path):
    result = done("compare", collapsed, "--out", tmp_path / "out", "--count", 10)
    assert WORDS in result.err.replace("\n", " ")
    document = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert document["notices"]["copied"].startswith(f"copied: {WORDS}")
    assert WORDS in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_train_says_it_on_the_way_and_at_the_end(tiny, done, tmp_path, monkeypatch):
    monkeypatch.setattr(learning, "PATIENCE", -1000)
    monkeypatch.setattr(learning, "GUESSING", 0.0)
    result = done("train", tiny, "--out", tmp_path / "run")
    assert result.err.count("tiny does not learn: its loss since step 1 is ") == 2
    assert "At the end: tiny does not learn: " in result.err
    entries = [json.loads(line) for line in (tmp_path / "run" / METRICS).read_text(encoding="utf-8").splitlines()]
    assert [entry["notice"] for entry in entries] == ["guessing"] * 3
