"""GELU in its tanh form: the default of jax.nn.gelu, so MaskGIT runs it; DiT names it explicitly.

    u = √(2/π) (x + 0.044715 x³),  g = ½ (1 + tanh u) = σ(2u)
    value  y = x g                                                             FLOPs   9 · size
    VJP    x̄ = ȳ (g + 2 y (1 − g) √(2/π) (1 + 3 · 0.044715 x²))                FLOPs  13 · size

The value keeps x, g and y, because 1 − tanh² u = 4 g (1 − g): written in them, the VJP makes the fewest passes over
memory.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from elt_ref.arrays import Array
from elt_ref.ops.counter import count_passes, count_work
from elt_ref.ops.fused import fused
from elt_ref.ops.logistic import SCALE, logistic

SLOPE = math.sqrt(2 / math.pi)
CUBIC = 0.044715


class GeluKept(NamedTuple):
    """What the way back needs."""

    x: Float[np.ndarray, "..."]
    gate: Float[np.ndarray, "..."]
    """g"""
    output: Float[np.ndarray, "..."]


def gelu_value(x: np.ndarray, *, keep: bool = True) -> tuple[np.ndarray, GeluKept | None]:
    """Return GELU and, to `keep`, what its way back needs; otherwise it takes one array less."""
    count_work(elementwise_flops=9 * x.size)
    count_passes(x.size, arithmetic=7, exp=1)
    gate = x * x
    gate *= 2 * SCALE * CUBIC * SLOPE
    gate += 2 * SCALE * SLOPE
    gate *= x
    logistic(gate)
    output = np.multiply(x, gate, out=None if keep else gate)
    return output, GeluKept(x, gate, output) if keep else None


def gelu_vjp(cotangent: np.ndarray, kept: GeluKept) -> tuple[np.ndarray]:
    """Return the gradient of x."""
    count_work(elementwise_flops=13 * cotangent.size)
    count_passes(cotangent.size, arithmetic=8)
    gradient = kept.x * kept.x
    gradient *= 6 * CUBIC * SLOPE
    gradient += 2 * SLOPE
    gradient *= kept.output
    gradient *= 1 - kept.gate
    gradient += kept.gate
    gradient *= cotangent
    return (gradient,)


_gelu = fused(gelu_value, gelu_vjp, name="gelu")


def gelu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return ``½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))``, element by element."""
    return _gelu(x)
