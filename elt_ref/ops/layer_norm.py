"""Layer normalisation over the last axis, plain and of a residual sum (the post-LN transformer's form).

    μ = mean(x),  r = 1 / √(mean((x − μ)²) + ε),  x̂ = (x − μ) r
    value  y = γ x̂ + β                                             FLOPs   7 · size + 5 · rows
    VJP    β̄ = Σ ȳ,  γ̄ = Σ ȳ x̂,  ĝ = ȳ γ,
           x̄ = r (ĝ − mean(ĝ) − x̂ mean(ĝ x̂))                       FLOPs  11 · size
The residual form normalises x + z and adds one FLOP an element; x̄ and z̄ are the same array.
"""

import numpy as np
from jaxtyping import Float

from elt_ref.arrays import Array
from elt_ref.ops.broadcast import combine_rows
from elt_ref.ops.counter import count_passes, count_work
from elt_ref.ops.fused import fused
from elt_ref.ops.linear import as_rows
from elt_ref.ops.sums import last_axis_sum, sum_of_rows

NormKept = tuple[np.ndarray, np.ndarray, np.ndarray]


def norm_value(
    total: np.ndarray, scale: np.ndarray, bias: np.ndarray, *, epsilon: float
) -> tuple[np.ndarray, NormKept]:
    """Return the norm of `total`, an array of the caller's own that becomes x̂, and what the way back needs."""
    centred, width = total, total.shape[-1]
    centred -= last_axis_sum(total) / width
    count_work(elementwise_flops=7 * centred.size + 5 * (centred.size // width))
    count_passes(centred.size, arithmetic=6)
    variance = np.einsum("...d,...d->...", centred, centred)[..., None] / width
    inverse_deviation = 1 / np.sqrt(variance + epsilon)
    centred *= inverse_deviation
    output = combine_rows(np.multiply, centred, scale)
    combine_rows(np.add, output, bias, output)
    return output, (centred, inverse_deviation, scale)


def norm_vjp(cotangent: np.ndarray, kept: NormKept) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients of x (and of an update added to it), scale and bias."""
    normalised, inverse_deviation, scale = kept
    width = scale.size
    count_work(elementwise_flops=11 * cotangent.size)
    count_passes(cotangent.size, arithmetic=10)
    products = cotangent * normalised
    bias_gradient, scale_gradient = sum_of_rows(as_rows(cotangent)), sum_of_rows(as_rows(products))
    # The mean of a row times γ is a product with γ.
    mean, projection = (cotangent @ scale)[..., None] / width, (products @ scale)[..., None] / width
    gradient = combine_rows(np.multiply, cotangent, scale)
    gradient -= mean
    gradient -= np.multiply(normalised, projection, out=products)
    gradient *= inverse_deviation
    return gradient, scale_gradient, bias_gradient


def _value(x: np.ndarray, scale: np.ndarray, bias: np.ndarray, *, epsilon: float) -> tuple[np.ndarray, NormKept]:
    return norm_value(x.copy(), scale, bias, epsilon=epsilon)


def _vjp(cotangent: np.ndarray, kept: NormKept, *, epsilon: float) -> tuple[np.ndarray, ...]:  # noqa: ARG001  a setting of the value
    return norm_vjp(cotangent, kept)


def _residual_value(
    x: np.ndarray, update: np.ndarray, scale: np.ndarray, bias: np.ndarray, *, epsilon: float
) -> tuple[np.ndarray, NormKept]:
    count_work(elementwise_flops=x.size)
    count_passes(x.size, arithmetic=1)
    return norm_value(x + update, scale, bias, epsilon=epsilon)


def _residual_vjp(cotangent: np.ndarray, kept: NormKept, *, epsilon: float) -> tuple[np.ndarray, ...]:  # noqa: ARG001  as above
    gradient, scale_gradient, bias_gradient = norm_vjp(cotangent, kept)
    return gradient, gradient, scale_gradient, bias_gradient


_layer_norm = fused(_value, _vjp, name="layer_norm")
_residual_layer_norm = fused(_residual_value, _residual_vjp, name="residual_layer_norm")


def layer_norm(
    x: Float[Array, "*batch width"],
    scale: Float[Array, " width"],
    bias: Float[Array, " width"],
    *,
    epsilon: float,
) -> Float[Array, "*batch width"]:
    """Return ``scale · (x − mean) / √(variance + epsilon) + bias``, with the biased variance and ε inside the root."""
    return _layer_norm(x, scale, bias, epsilon=epsilon)


def residual_layer_norm(
    x: Float[Array, "*batch width"],
    update: Float[Array, "*batch width"],
    scale: Float[Array, " width"],
    bias: Float[Array, " width"],
    *,
    epsilon: float,
) -> Float[Array, "*batch width"]:
    """Return ``layer_norm(x + update)``, the join of the residual stream in a post-LN transformer."""
    return _residual_layer_norm(x, update, scale, bias, epsilon=epsilon)
