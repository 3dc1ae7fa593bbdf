"""The floor under our time: what matrix products at the peak and the fewest element-wise passes would take.

Ops report how many passes they need at least, and over how many elements (`elt_ref.ops.count_passes`). Here such passes
are timed alone, on arrays of that size, in the process that did the work. The optimizer is no op, and left out.
"""

import time
from collections.abc import Mapping

import numpy as np

REPETITIONS = 15


def pass_seconds(passes: Mapping[tuple[str, int], int]) -> float:
    """Return the seconds that these passes take, each at the best speed of its kind on float32 arrays of its size.

    Args:
        passes: how many, by kind and by elements.
    """
    return sum((count * _best(kind, elements) for (kind, elements), count in passes.items() if count and elements), 0.0)


def _best(kind: str, elements: int) -> float:
    array, output = np.full(elements, 0.5, np.float32), np.empty(elements, np.float32)
    seconds = []
    for _ in range(REPETITIONS):
        started = time.perf_counter()
        if kind == "exp":
            np.exp(array, out=output)
        else:
            np.multiply(array, array, out=output)
        seconds.append(time.perf_counter() - started)
    return min(seconds)
