"""Some rows of a state and back: what the head reads when it predicts some tokens only.

    take  value  y = x[mask]                      free      VJP  x̄ = 0 but x̄[mask] = ȳ     free
    put   value  y = 0 but y[mask] = x            free      VJP  x̄ = ȳ[mask]               free

The two are adjoint to each other, so both can be differentiated any number of times.
"""

import numpy as np
from autograd.extend import defvjp, primitive
from jaxtyping import Bool, Float

from elt_ref.arrays import Array


@primitive
def take_rows(x: Float[Array, "*batch width"], mask: Bool[np.ndarray, "*batch"]) -> Float[Array, "rows width"]:
    """Return the rows that the mask marks."""
    return x[mask]


@primitive
def put_rows(x: Float[Array, "rows width"], mask: Bool[np.ndarray, "*batch"]) -> Float[Array, "*batch width"]:
    """Return an array that has these rows where the mask is true, and zeros elsewhere."""
    whole = np.zeros((*mask.shape, x.shape[-1]), x.dtype)
    whole[mask] = x
    return whole


defvjp(take_rows, lambda _y, _x, mask: lambda cotangent: put_rows(cotangent, mask), argnums=(0,))
defvjp(put_rows, lambda _y, _x, mask: lambda cotangent: take_rows(cotangent, mask), argnums=(0,))
