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
    rows: Float[np.ndarray, "rows width"],
    vector: Float[np.ndarray, " width"],
    out: Float[np.ndarray, "rows width"],
) -> None:
    """Write ``function(rows, vector)`` into `out`, which may be `rows`; both lie in one piece."""
    copies = -(-BUFFER // vector.size)
    whole = len(rows) // copies * copies if rows.size >= SMALLEST else 0
    if whole:
        many = np.empty((copies, vector.size), vector.dtype)
        many[:] = vector
        shape = (-1, many.size)
        function(rows[:whole].reshape(shape), many.reshape(-1), out=out[:whole].reshape(shape))
    if whole < len(rows):
        function(rows[whole:], vector, out=out[whole:])
