"""A run draws a few of many cases alike, by its seed, and leaves tests marked whole out; ``--whole`` runs all."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILE = "tests/learn/test_learn_commands.py"
FEW, WHOLE = "test_show_leaves_the_page_out_on_request", "test_the_finished_files_train"


def collected(*words):
    """Return the names of the tests that pytest would run."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return {line.partition("::")[2] for line in done.stdout.splitlines() if "::" in line}


@pytest.mark.whole
def test_a_run_draws_by_its_seed_and_the_whole_is_everything():
    runs = [collected(FILE, f"--randomly-seed={seed}") for seed in (1, 1, 2, 3, 4)]
    few = [frozenset(name for name in run if name.startswith(FEW)) for run in runs]
    assert {len(names) for names in few} == {2}
    assert few[0] == few[1]
    assert len(set(few)) > 1, "four seeds draw the same"
    assert not any(WHOLE in run for run in runs)
    everything = collected(FILE, "--whole")
    assert everything > runs[0]
    assert {WHOLE} | few[2] < everything
    assert collected(f"{FILE}::{WHOLE}") == {WHOLE}, "a test that is named runs"
