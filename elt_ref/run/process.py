"""What the commands settle for their process before NumPy is loaded: BLAS threads and kernels, and freed memory.

Rounding depends on how many threads share a matrix product, and training amplifies rounding: a run would resume, or be
repeated, to other numbers on another number of threads. The products here are small enough for one.

OpenBLAS chooses kernels for the processor it finds. That of NumPy's wheels (0.3.31) does not know Zen 5, AMD's family
26, and multiplies there with AVX2, at half the rate of AVX-512 (OpenMathLib/OpenBLAS, pull request 6033, mends it).

Every step of training makes and drops the same few hundred arrays of a megabyte or so. The C library of Linux gives
each back to the system and asks for it anew, page by page: some 12,000 page faults a step of `digits-masked`, about a
third of its time. Told to keep what is freed, there are none.
"""

import ctypes
import os
import sys
from pathlib import Path

_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "OMP_NUM_THREADS")
_AVX512 = {"avx512f", "avx512cd", "avx512dq", "avx512bw", "avx512vl"}
"""What OpenBLAS' kernels for SkylakeX use."""
_FIRST_UNKNOWN_FAMILY = 26
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Options of mallopt(3)."""
_LARGEST = 1 << 30


def settle_process() -> None:
    """Ask for one BLAS thread and for kernels that fit, unless the environment asks for others; keep freed memory.

    Settings of the whole process, so the commands make them, and the library does not.
    """
    for name in _THREADS:
        os.environ.setdefault(name, "1")
    if (kernels := blas_kernels()) is not None:
        os.environ.setdefault("OPENBLAS_CORETYPE", kernels)
    keep_freed_memory()


def blas_kernels(told: Path = Path("/proc/cpuinfo")) -> str | None:
    """Return the kernels that OpenBLAS should be told to take on this processor; None where its own choice is right.

    Args:
        told: what Linux tells of the processor; where there is no such file, nothing is known.
    """
    lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    # The first of several cores is told last, and wins.
    facts = {name.strip(): fact.strip() for name, _, fact in (line.partition(":") for line in reversed(lines))}
    unknown = facts.get("vendor_id") == "AuthenticAMD" and int(facts.get("cpu family", 0)) >= _FIRST_UNKNOWN_FAMILY
    return "SkylakeX" if unknown and set(facts.get("flags", "").split()) >= _AVX512 else None


def keep_freed_memory() -> None:
    """Tell the C library to reuse freed blocks below 1 GiB; does nothing where it has no `mallopt`."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform.startswith("linux") else None
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST)
        mallopt(_TRIM_THRESHOLD, _LARGEST)
