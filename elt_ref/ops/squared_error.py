"""Weighted squared error, the loss of the diffusion family.

value  Σ_i w_i ‖p_i − t_i‖²                          FLOPs  3 · size
VJP    p̄_i = 2 w_i (p_i − t_i),  t̄ = − p̄             FLOPs  2 · size
"""

import numpy as np
from jaxtyping import Float

from elt_ref.arrays import Array
from elt_ref.ops.counter import count_passes, count_work
from elt_ref.ops.fused import fused


def _value(
    prediction: np.ndarray, target: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    count_work(elementwise_flops=3 * prediction.size)
    count_passes(prediction.size, arithmetic=2)
    difference = prediction - target
    rows = difference.reshape(len(difference), -1)
    return np.asarray(np.dot(weights, np.einsum("bi,bi->b", rows, rows))), (difference, weights)


def _vjp(
    cotangent: np.ndarray | np.floating, kept: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, None]:
    difference, weights = kept
    count_work(elementwise_flops=2 * difference.size)
    count_passes(difference.size, arithmetic=1)
    gradient = difference * (2 * cotangent * weights).reshape(-1, *[1] * (difference.ndim - 1))
    return gradient, -gradient, None


_weighted_squared_error = fused(_value, _vjp, name="weighted_squared_error")


def weighted_squared_error(
    prediction: Float[Array, "batch *shape"], target: Float[Array, "batch *shape"], weights: Float[Array, " batch"]
) -> Float[Array, ""]:
    """Return the sum over samples of ``weight · ‖prediction − target‖²``; weights are constants, one per sample."""
    return _weighted_squared_error(prediction, target, weights)
