"""The commands settle their process before NumPy is loaded; the library leaves it alone."""

import json
import os
import subprocess
import sys

import pytest

from elt_ref.run.process import blas_kernels, settle_process

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


def told_of(vendor: str, family: int, flags: str) -> str:
    core = f"vendor_id\t: {vendor}\ncpu family\t: {family}\nflags\t\t: {flags}\n\n"
    return core + core


AVX2 = "fpu avx avx2 fma"
AVX512 = f"{AVX2} avx512f avx512dq avx512cd avx512bw avx512vl"


@pytest.mark.parametrize(
    ("vendor", "family", "flags", "kernels"),
    [
        ("AuthenticAMD", 26, AVX512, "SkylakeX"),
        ("AuthenticAMD", 26, AVX2, None),
        ("AuthenticAMD", 26, AVX512.replace(" avx512vl", ""), None),
        ("AuthenticAMD", 25, AVX512, None),
        ("GenuineIntel", 26, AVX512, None),
    ],
)
def test_kernels_are_named_only_where_openblas_would_take_lesser_ones(tmp_path, vendor, family, flags, kernels):
    told = tmp_path / "cpuinfo"
    told.write_text(told_of(vendor, family, flags), encoding="utf-8")
    assert blas_kernels(told) == kernels


@pytest.mark.parametrize("told", ["", "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd\n"])
def test_of_an_unknown_processor_no_kernels_are_named(tmp_path, told):
    path = tmp_path / "cpuinfo"
    assert blas_kernels(path) is None, "there is no such file"
    path.write_text(told, encoding="utf-8")
    assert blas_kernels(path) is None


def test_the_environment_names_its_own_kernels(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    settle_process()
    assert os.environ["OPENBLAS_CORETYPE"] == "Haswell"
