"""What the commands settle for their process before NumPy is loaded: BLAS threads, and freed memory.

Rounding depends on how many threads share a matrix product, and training amplifies rounding: a run would resume, or be
repeated, to other numbers on another number of threads. The products here are small enough for one.

Every step of training makes and drops the same few hundred arrays of a megabyte or so. The C library of Linux gives
each back to the system and asks for it anew, page by page: some 12,000 page faults a step of `digits-masked`, about a
third of its time. Told to keep what is freed, there are none.
"""

import ctypes
import os
import sys

_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "OMP_NUM_THREADS")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Options of mallopt(3)."""
_LARGEST = 1 << 30


def settle_process() -> None:
    """Ask for one BLAS thread, unless the environment asks for more, and keep freed memory.

    Settings of the whole process, so the commands make them, and the library does not.
    """
    for name in _THREADS:
        os.environ.setdefault(name, "1")
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Tell the C library to reuse freed blocks below 1 GiB; does nothing where it has no `mallopt`."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform.startswith("linux") else None
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST)
        mallopt(_TRIM_THRESHOLD, _LARGEST)
