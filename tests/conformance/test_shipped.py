"""What is judged is what ships: one changed line of the package, and the judge refuses the reference.

The lines are in ``shipped_changes.toml``. A case fails where the judge passes the changed package, where another clause
than the named one refuses it, or where the change makes it crash: only wrong numbers count.
"""

import json
import os
import random
import subprocess
import sys
import tomllib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import elt_ref
from elt_ref.conformance.clauses import clauses

HERE = Path(__file__).parent
PACKAGE = Path(elt_ref.__file__).parent
TABLES = tomllib.loads((HERE / "shipped_changes.toml").read_text(encoding="utf-8"))
CHANGES = [{"file": file, **change} for file, changes in TABLES.items() for change in changes]
HARMLESS = {
    "file": "objective/ilsd.py",
    "old": "teacher_truth + truth_weight * student_truth + (1 - truth_weight) * distilled",
    "new": "(1 - truth_weight) * distilled + truth_weight * student_truth + teacher_truth",
    "clause": "DISTIL,GRAD,STEP-05",
}


def judge_changes(changes):
    """Return, for each change, the status and message of the clauses that refuse it."""
    lines = "".join(json.dumps(change) + "\n" for change in changes)
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent), "OPENBLAS_NUM_THREADS": "1"}
    program = [sys.executable, HERE / "changed_package.py"]
    done = subprocess.run(program, input=lines, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def verdicts_on(changes):
    """Return the verdicts of changes by their names."""
    halves = changes[::2], changes[1::2]
    with ThreadPoolExecutor() as pool:
        answers = pool.map(judge_changes, halves)
    return {
        change["name"]: verdict
        for half, found in zip(halves, answers, strict=True)
        for change, verdict in zip(half, found, strict=True)
    }


def check_refused(change, verdict):
    status, message = verdict.get(change["clause"], ("PASS", ""))
    assert status == "FAIL", f"{change['name']}, {change['clause']}: {status}, although: {change['wrong']} {message}"


def test_the_judge_refuses_a_few_changed_lines():
    chosen = random.sample(CHANGES, 16)  # others at every run: pytest-randomly seeds it
    verdicts = verdicts_on(chosen)
    for change in chosen:
        check_refused(change, verdicts[change["name"]])


@pytest.fixture(scope="module")
def verdicts():
    return verdicts_on(CHANGES)


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change["name"])
def test_the_judge_refuses_a_changed_line(change, verdicts):
    check_refused(change, verdicts[change["name"]])


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change["name"])
def test_a_changed_line_is_one_of_the_package(change):
    occurrences = (PACKAGE / change["file"]).read_text(encoding="utf-8").count(change["old"])
    assert occurrences == 1, f"stale: {change['file']} has {change['old']!r} {occurrences} times, not once"


@pytest.mark.whole
def test_the_judge_passes_a_line_that_means_the_same():
    assert judge_changes([HARMLESS]) == [{}]


def test_changes_have_names_of_their_own_and_clauses_that_exist():
    assert max(Counter(change["name"] for change in CHANGES).values()) == 1
    assert {change["clause"] for change in CHANGES} <= set(clauses())
