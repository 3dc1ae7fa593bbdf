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


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ({}, "1"),
        ({"OPENBLAS_NUM_THREADS": "3"}, "3"),
        ({"ELT_REF_THREADS": "2"}, "2"),
        ({"OPENBLAS_NUM_THREADS": "3", "ELT_REF_THREADS": "2"}, "2"),
    ],
)
def test_one_thread_unless_the_environment_says_otherwise_and_the_blas_always_has_one(monkeypatch, asked, given):
    blas = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "OMP_NUM_THREADS")
    for name in ("ELT_REF_THREADS", *blas):
        monkeypatch.setenv(name, "0")  # so that it is as before afterwards
        monkeypatch.delenv(name)
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    for _ in range(2):  # a process that this one starts settles itself, too
        settle_process()
        assert os.environ["ELT_REF_THREADS"] == given
        assert {os.environ[name] for name in blas} == {"1"}


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
