"""Linear map of the last axis; every other axis counts as rows.

    value  y  = x W + b                      MACs      rows · in · out,  other FLOPs  rows · out
    VJP    x̄  = ȳ Wᵀ,  W̄ = xᵀ ȳ,  b̄ = Σ ȳ   MACs  2 · rows · in · out,  other FLOPs  rows · out

The VJP needs only the inputs, so the op can be differentiated any number of times. `rows_times` and `rows_times_vjp`
are the same map inside of larger ops.
"""

from typing import Any

import autograd.numpy
import numpy as np
from autograd.extend import defvjp, primitive
from jaxtyping import Float

from elt_ref.arrays import Array
from elt_ref.ops.broadcast import combine_rows
from elt_ref.ops.counter import count_passes, count_work
from elt_ref.ops.sums import sum_of_rows

anp: Any = autograd.numpy  # its names are made at run time, invisible to a type checker


def rows_times(
    rows: Float[np.ndarray, "rows inputs"],
    weight: Float[np.ndarray, "inputs outputs"],
    bias: Float[np.ndarray, " outputs"],
) -> Float[np.ndarray, "rows outputs"]:
    """Return ``rows @ weight + bias``."""
    output = rows @ weight
    count_work(macs=rows.size * bias.size, elementwise_flops=output.size)
    count_passes(output.size, arithmetic=1)
    return combine_rows(np.add, output, bias, output)


def rows_times_vjp(
    cotangent: Float[np.ndarray, "rows outputs"],
    rows: Float[np.ndarray, "rows inputs"],
    weight: Float[np.ndarray, "inputs outputs"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients of rows, weight and bias."""
    count_work(macs=2 * rows.size * weight.shape[1], elementwise_flops=cotangent.size)
    count_passes(cotangent.size, arithmetic=1)
    return cotangent @ weight.T, rows.T @ cotangent, sum_of_rows(cotangent)


@primitive
def linear(
    x: Float[Array, "*batch inputs"], weight: Float[Array, "inputs outputs"], bias: Float[Array, " outputs"]
) -> Float[Array, "*batch outputs"]:
    """Return ``x @ weight + bias``. Can be differentiated any number of times."""
    return rows_times(as_rows(x), weight, bias).reshape(*x.shape[:-1], bias.size)


def as_rows(x: Float[Array, "*batch width"]) -> Float[Array, "rows width"]:
    """Flatten every axis but the last, so that one matrix product does all rows."""
    return x.reshape(-1, x.shape[-1])


def _input_gradient(cotangent, x, weight):  # noqa: ANN001, ANN202  shapes as in `linear`
    count_work(macs=x.size * weight.shape[1])
    return anp.reshape(anp.dot(as_rows(cotangent), weight.T), x.shape)


def _weight_gradient(cotangent, x):  # noqa: ANN001, ANN202
    count_work(macs=x.size * cotangent.shape[-1])
    return anp.dot(as_rows(x).T, as_rows(cotangent))


def _bias_gradient(cotangent):  # noqa: ANN001, ANN202
    count_work(elementwise_flops=cotangent.size)
    count_passes(cotangent.size, arithmetic=1)
    return sum_of_rows(as_rows(cotangent))


defvjp(
    linear,
    lambda _output, x, weight, _bias: lambda cotangent: _input_gradient(cotangent, x, weight),
    lambda _output, x, _weight, _bias: lambda cotangent: _weight_gradient(cotangent, x),
    lambda _output, _x, _weight, _bias: _bias_gradient,
)
