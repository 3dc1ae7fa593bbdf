"""sg(x): the value passes, the gradient does not. HIPS autograd has none of its own."""

from autograd.extend import defjvp, defvjp, notrace_primitive, primitive
from jaxtyping import Float

from elt_ref.arrays import Array


@primitive
def stop_gradient(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return `x` unchanged; its derivative is zero, also under nested differentiation.

    Source: sg in the ILSD loss (E5, term 3). Costs no FLOPs.
    """
    return x


@notrace_primitive
def constant(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return the plain array behind `x`, for work that nothing differentiates."""
    return x


defvjp(stop_gradient, None)
defjvp(stop_gradient, None)
