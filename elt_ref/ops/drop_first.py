"""Dropping the first token of a sequence: the class token, whose output is ignored.

    value  y = x[:, 1:]            free
    VJP    x̄ = [0, ȳ]              free

An op of its own because a slice's own VJP in autograd adds index by index.
"""

import numpy as np
from jaxtyping import Float

from elt_ref.arrays import Array
from elt_ref.ops.fused import fused


def _vjp(cotangent: np.ndarray, _kept: None) -> tuple[np.ndarray]:
    batch, tokens, width = cotangent.shape
    gradient = np.zeros((batch, tokens + 1, width), cotangent.dtype)
    gradient[:, 1:] = cotangent
    return (gradient,)


def _value(x: np.ndarray) -> tuple[np.ndarray, None]:
    return x[:, 1:], None


_drop_first = fused(_value, _vjp, name="drop_first")


def drop_first(x: Float[Array, "batch tokens_and_class width"]) -> Float[Array, "batch tokens width"]:
    """Return ``x[:, 1:]``."""
    return _drop_first(x)
