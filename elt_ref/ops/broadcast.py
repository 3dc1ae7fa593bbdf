"""A vector added to every row, or multiplied into it, at the speed of arrays of one shape.

Where an operand repeats along an axis, NumPy's inner loop is one row. Rows shorter than its buffer are gathered in the
buffer first, which doubles the time. So as many copies of the vector as fill a buffer meet as many rows at once. Every
number stays as it is, to the bit.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

BUFFER = 1 << 13
"""Elements of NumPy's buffer."""
SMALLEST = 1 << 16
"""Elements below which copies of the vector cost more than they save."""


def combine_rows(
    function: Callable[..., np.ndarray],
    x: Float[np.ndarray, "*batch width"],
    vector: Float[np.ndarray, " width"],
    out: Float[np.ndarray, "*batch width"] | None = None,
) -> Float[np.ndarray, "*batch width"]:
    """Return ``function(x, vector)``, in `out` if that is given, which may be `x`."""
    out = np.empty(x.shape, np.result_type(x, vector)) if out is None else out
    if x.size < SMALLEST or not out.flags.c_contiguous:  # then a reshaped `out` would be a copy
        return function(x, vector, out=out)
    rows, results = (array.reshape(-1, vector.size) for array in (x, out))
    copies = -(-BUFFER // vector.size)
    whole = len(rows) // copies * copies
    many = np.empty((copies, vector.size), vector.dtype)
    many[:] = vector
    shape = (-1, many.size)
    function(rows[:whole].reshape(shape), many.reshape(-1), out=results[:whole].reshape(shape))
    if whole < len(rows):
        function(rows[whole:], vector, out=results[whole:])
    return out
