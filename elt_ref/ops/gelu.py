"""GELU in its tanh form: the default of jax.nn.gelu, so what MaskGIT runs; DiT asks for it by name.

    u = √(2/π) (x + 0.044715 x³),  t = tanh u
    value  y = ½ x (1 + t)                                                     FLOPs   9 · size
    VJP    x̄ = ȳ (½ (1 + t) + ½ x (1 − t²) √(2/π) (1 + 3 · 0.044715 x²))        FLOPs  13 · size

The value keeps x and t.
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
    x, tanh = kept
    count_work(elementwise_flops=13 * cotangent.size)
    gradient = x * x
    gradient *= 3 * CUBIC * SLOPE
    gradient += SLOPE
    gradient *= x
    gradient *= 1 - tanh * tanh
    gradient += tanh
    gradient += 1
    gradient *= cotangent
    gradient *= 0.5
    return (gradient,)


def _value(x: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    count_work(elementwise_flops=9 * x.size)
    tanh = x * x
    tanh *= CUBIC
    tanh += 1
    tanh *= x
    tanh *= SLOPE
    np.tanh(tanh, out=tanh)
    output = tanh + 1
    output *= x
    output *= 0.5
    return output, (x, tanh)


_gelu = fused(_value, _vjp, name="gelu")


def gelu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return ``½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))``, element by element."""
    return _gelu(x)
