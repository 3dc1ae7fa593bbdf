"""Element-wise work on large arrays, split by rows over as many threads as the matrix products have.

NumPy's passes run on one thread, OpenBLAS's products on all that OPENBLAS_NUM_THREADS allows. With two, one core would
idle while the other computes a GELU. Each thread gets a share of the rows: every number is computed as on one thread,
to the bit. Products and passes take turns, so no more threads work than are allowed.
"""

import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np

SMALLEST = 1 << 20
"""Elements below which an array is left to one thread: waking another costs more than it saves."""


def by_rows(function: Callable[..., Any], *arrays: np.ndarray) -> None:
    """Call ``function(*arrays)``, which writes into its arrays row by row, on shares of the rows if there are many.

    Args:
        function: works on rows of the first axis independently, and returns nothing of use.
        arrays: at least one, all with the same first axis; the first one's size decides.
    """
    shares = 1 if arrays[0].size < SMALLEST else threads()
    if shares == 1:
        function(*arrays)
        return
    parts = zip(*(np.array_split(array, shares) for array in arrays), strict=True)  # views
    first, *others = parts
    waiting = [_pool(shares - 1).submit(function, *part) for part in others]
    function(*first)
    for each in waiting:
        each.result()


def threads() -> int:
    """Return the number of threads that OPENBLAS_NUM_THREADS states, at most a core each; 1 if it states none."""
    stated = re.fullmatch("0*([1-9][0-9]{0,8})", os.environ.get("OPENBLAS_NUM_THREADS", "1"))
    return min(int(stated[1]), max(1, os.cpu_count() or 1)) if stated else 1


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, thread_name_prefix="elt_ref rows")


if hasattr(os, "register_at_fork"):  # a forked process has the pool, but not its threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
