"""sg(x): the value passes, the gradient does not. HIPS autograd has none of its own."""

from autograd.extend import defjvp, defvjp, primitive
from jaxtyping import Float

from elt_ref.arrays import Array


@primitive
def stop_gradient(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return `x` unchanged; its derivative is zero, also under nested differentiation.

    Source: sg in the ILSD loss (E5, term 3). Costs no FLOPs.
    """
    return x


defvjp(stop_gradient, None)
defjvp(stop_gradient, None)
