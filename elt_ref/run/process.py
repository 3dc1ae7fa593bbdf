"""Settings of a command's process, made before NumPy is loaded: threads, and freed memory.

Rounding depends on how many threads share the work, and training amplifies rounding: with another number of threads, a
resumed or repeated run would give other numbers. So it is one, unless the environment asks for more; then the layers
have them, and give some to the BLAS: see `elt_ref.ops.samples`.

Every training step allocates and frees the same few hundred arrays of about a megabyte. The C library of Linux returns
each to the system and requests it again, page by page: some 12,000 page faults a step of `digits-masked`, about a third
of its time. If the library keeps freed memory, there are none.
"""

import ctypes
import logging
import os
import sys

_BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "OMP_NUM_THREADS")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Options of mallopt(3)."""
_LARGEST = 1 << 30


def settle_process() -> None:
    """Begin with one thread of the BLAS, and leave the layers as many as the environment sets; keep freed memory.

    The environment sets a number by ELT_REF_THREADS, or by OPENBLAS_NUM_THREADS as for other programs of NumPy.

    These settings affect the whole process, so the commands make them and the library does not.
    """
    os.environ.setdefault("ELT_REF_THREADS", os.environ.pop("OPENBLAS_NUM_THREADS", "1"))
    for name in _BLAS_THREADS:
        os.environ.setdefault(name, "1")
    # Figures are files, whatever window the environment asks for, or garbage.
    os.environ.pop("MPLBACKEND", None)
    # Where a home cannot be written to, matplotlib works without a cache; its paragraph about that is no news.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Make the C library reuse freed blocks below 1 GiB; do nothing if it has no `mallopt`."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform.startswith("linux") else None
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST)
        mallopt(_TRIM_THRESHOLD, _LARGEST)
