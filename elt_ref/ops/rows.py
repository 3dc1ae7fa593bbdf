"""Some rows of a state and back: what the head reads when it predicts some tokens only.

    take  value  y = x[rows]                      free      VJP  x̄ = 0 but x̄[rows] = ȳ     free
    put   value  y = 0 but y[rows] = x            free      VJP  x̄ = ȳ[rows]               free

Rows are those of the array with all axes but the last flattened, each at most once. The two are adjoint to each other,
so both can be differentiated any number of times.
"""

import numpy as np
from autograd.extend import defvjp, primitive
from jaxtyping import Float, Int

from elt_ref.arrays import Array
from elt_ref.ops.linear import as_rows


@primitive
def take_rows(x: Float[Array, "*batch width"], rows: Int[np.ndarray, " rows"]) -> Float[Array, "rows width"]:
    """Return these rows of the flattened array."""
    return as_rows(x)[rows]


@primitive
def put_rows(
    x: Float[Array, "rows width"], rows: Int[np.ndarray, " rows"], *, shape: tuple[int, ...]
) -> Float[Array, "*batch width"]:
    """Return an array of this shape, without its last axis, that has these rows and zeros elsewhere."""
    whole = np.zeros((*shape, x.shape[-1]), x.dtype)
    as_rows(whole)[rows] = x
    return whole


defvjp(
    take_rows,
    lambda _y, x, rows: lambda cotangent: put_rows(cotangent, rows, shape=x.shape[:-1]),
    argnums=(0,),
)
defvjp(put_rows, lambda _y, _x, rows, *, shape: lambda cotangent: take_rows(cotangent, rows), argnums=(0,))  # noqa: ARG005  autograd passes settings by name
