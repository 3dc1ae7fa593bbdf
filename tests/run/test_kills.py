"""Killed at any moment, a run is readable, and ends with the bytes of one that nothing happened to."""

import json
import subprocess
import sys

import pytest


def killed(kills):
    words = [sys.executable, "-m", "tests.run.kill_runs", "--kills", str(kills)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = json.loads(done.stdout)
    assert (counts["unreadable"], counts["different"]) == (0, 0)
    assert counts["kills"] >= kills
    return counts


@pytest.mark.whole
def test_a_few_kills_of_every_family():
    counts = killed(24)
    assert all(family["kills"] >= 4 for family in counts["families"].values())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_thousand_kills_in_half_an_hour():
    counts = killed(1000)
    assert counts["between_calls"] >= 300
    assert counts["seconds"] <= 1800
