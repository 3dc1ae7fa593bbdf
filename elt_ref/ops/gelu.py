"""GELU in its tanh form: the default of jax.nn.gelu, so MaskGIT runs it; DiT names it explicitly.

    u = √(2/π) (x + 0.044715 x³),  g = ½ (1 + tanh u)
    value  y = x g                                                             FLOPs   9 · size
    VJP    x̄ = ȳ g (1 + 2 x (1 − g) √(2/π) (1 + 3 · 0.044715 x²))              FLOPs  13 · size

The value keeps x and g, because 1 − tanh² u = 4 g (1 − g): written in g, the VJP makes the fewest passes over memory.
"""

import math

import numpy as np
from jaxtyping import Float

from elt_ref.arrays import Array
from elt_ref.ops.counter import count_work
from elt_ref.ops.fused import fused

SLOPE = math.sqrt(2 / math.pi)
CUBIC = 0.044715


def _vjp(cotangent: np.ndarray, kept: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray]:
    x, gate = kept
    count_work(elementwise_flops=13 * cotangent.size)
    gradient = x * x
    gradient *= 6 * CUBIC * SLOPE
    gradient += 2 * SLOPE
    gradient *= x
    gradient *= 1 - gate
    gradient += 1
    gradient *= gate
    gradient *= cotangent
    return (gradient,)


def _value(x: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    count_work(elementwise_flops=9 * x.size)
    gate = x * x
    gate *= CUBIC * SLOPE
    gate += SLOPE
    gate *= x
    np.tanh(gate, out=gate)
    gate += 1
    gate *= 0.5
    return x * gate, (x, gate)


_gelu = fused(_value, _vjp, name="gelu")


def gelu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return ``½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))``, element by element."""
    return _gelu(x)
