"""Automatic mutants: what is changed, what is left alone, and which checks a mutant is put to."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from specs.making import mutants, mutation
from specs.making.mutation import Check, Mutant, relevant

ROOT = Path(__file__).resolve().parents[2]


def changes(tmp_path, text):
    """Return the changed lines of every mutant of a file."""
    place = tmp_path / "elt_ref" / "model"
    place.mkdir(parents=True)
    (place / "some.py").write_text(text, encoding="utf-8")
    found = list(mutants.mutants(tmp_path, ["elt_ref/model"]))
    for mutant in found:
        ast.parse(mutant.source)
        assert len(mutant.source.splitlines()) == len(text.splitlines()), "coverage is by line"
    return [
        next(new for new, old in zip(each.source.splitlines(), text.splitlines(), strict=True) if new != old).strip()
        for each in found
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("y = a + b", ["y = (a - b)"]),
        ("y = a ** 2", ["y = (a * 2)", "y = a ** (3)"]),
        ("y = -a", ["y = (a)"]),
        ("y = a.reshape(-1, 4)", ["y = a.reshape((1), 4)", "y = a.reshape(-1, (5))"]),
        ("y = a < b", ["y = (a <= b)"]),
        ("y = a if b else c", ["y = (c if b else a)"]),
        ("y = a and b", ["y = (a or b)"]),
        ("y = 0.5", ["y = (0.55)"]),
        ("y = True", ["y = (False)"]),
        ("y += a", ["y -= a", "pass"]),
        ("f(a)", ["pass"]),
        ("y[a] = b", ["pass"]),
        ("if a: b()\nelse: c()", ["if (not (a)): b()", "if a: pass", "else: pass"]),
    ],
)
def test_what_is_changed(tmp_path, line, expected):
    assert sorted(changes(tmp_path, line)) == sorted(expected)


@pytest.mark.parametrize(
    "text",
    [
        '"""A text with 1 + 1."""',
        "def f(x: a[1]) -> b[2]: return x",
        "if a < 1: raise ValueError(1 + 1)",
        "assert a < 1",
        'y = f"{a + 1}"',
        "import a",
    ],
)
def test_what_is_left_alone(tmp_path, text):
    assert changes(tmp_path, text) == []


def test_the_statement_of_a_mutant_has_its_lines_or_those_of_its_head(tmp_path):
    place = tmp_path / "elt_ref" / "model"
    place.mkdir(parents=True)
    (place / "some.py").write_text(
        "x = f(\n    1,\n)\ndef g():\n    for y in (\n        2,\n    ):\n        return y + z\n"
    )
    found = {(each.before, each.lines, each.outside) for each in mutants.mutants(tmp_path, ["elt_ref/model"])}
    assert found == {("1", (1, 2, 3), True), ("2", (5, 6, 7), False), ("y + z", (8,), False)}


def test_counted_work_and_checked_arguments_change_no_answer(tmp_path):
    place = tmp_path / "elt_ref" / "model"
    place.mkdir(parents=True)
    (place / "some.py").write_text("count_work(macs=2 * a)\nx.check_shape(a, 3)\ny = 2 * count(a)\n")
    found = {each.line: each.answers for each in mutants.mutants(tmp_path, ["elt_ref/model"])}
    assert found == {1: False, 2: False, 3: True}


def test_a_mutant_is_put_to_what_runs_its_statement_the_quickest_first():
    checks = [
        Check(2.0, "slow", frozenset({("a.py", 3)})),
        Check(1.0, "quick", frozenset({("a.py", 3), ("a.py", 9)})),
        Check(0.5, "elsewhere", frozenset({("b.py", 3)})),
    ]
    mutant = Mutant("a.py", 2, "", "", "", (2, 3), outside=False)
    assert [check.what for check in relevant(mutant, checks)] == ["quick", "slow"]
    assert relevant(mutant._replace(lines=(1,)), checks) == []
    assert [check.what for check in relevant(mutant._replace(lines=(1,), outside=True), checks)] == ["quick", "slow"]


def test_the_published_scores_are_those_that_were_measured():
    stored = json.loads(mutation.FILE.read_text(encoding="utf-8"))
    text = " ".join((ROOT / "docs" / "judge.md").read_text(encoding="utf-8").split())
    for kind, row in stored.items():
        assert f"{row['noticed']} of {row['tried']}" in text, kind
        for name in row["survivors"]:
            assert f"`{name.partition(': ')[0].removeprefix('elt_ref/')}`" in text, f"{kind}: no reason for {name}"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["judge", "tests"])
def test_a_few_mutants_are_noticed(kind, tmp_path):
    path = tmp_path / "scores.json"
    command = [sys.executable, "-m", "specs.making.mutation", kind, "--every", "60", "--out", str(path)]
    subprocess.run(command, capture_output=True, text=True, check=True)
    row = json.loads(path.read_text(encoding="utf-8"))[kind]
    assert row["noticed"] >= 0.8 * row["tried"] > 0
