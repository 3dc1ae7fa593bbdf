"""The commands settle their process before NumPy is loaded; the library leaves it alone."""

import json
import os
import subprocess
import sys

import pytest

from elt_ref.run.process import settle_process

LOADED = "import sys, json, elt_ref.cli; print(json.dumps('numpy' in sys.modules))"


def test_the_commands_load_no_numpy_before_they_have_settled_the_process():
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) is False, "importing the commands loads NumPy, which then has its threads already"


@pytest.mark.parametrize(("asked", "given"), [(None, "1"), ("3", "3")])
def test_one_thread_unless_the_environment_says_otherwise(monkeypatch, asked, given):
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    if asked:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", asked)
    settle_process()
    assert os.environ["OPENBLAS_NUM_THREADS"] == given


def test_no_backend_of_the_environment(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "garbage")
    settle_process()
    assert "MPLBACKEND" not in os.environ


def test_drawing_as_a_library_leaves_the_environment():
    code = "import os; before = {**os.environ}; import elt_ref.report.figure; assert before == os.environ"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "MPLBACKEND": "svg"}, check=True)


PEAK = """
import resource, sys
import numpy as np
from elt_ref.run.process import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def work():
    for _ in range(200):
        np.ones(1 << 17)
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="page faults are counted on Linux")
def test_freed_memory_is_used_again():
    done = subprocess.run([sys.executable, "-c", PEAK, "keep"], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1000, f"{done.stdout.strip()} page faults for 200 arrays that were freed each time"
