"""Sums over the last axis and over rows, several times faster than `numpy.sum`, which starts a loop for every row."""

from typing import Any

import autograd.numpy
import numpy as np
from jaxtyping import Float

from elt_ref.arrays import Array

anp: Any = autograd.numpy  # its names are made at run time, invisible to a type checker


def last_axis_sum(x: Float[np.ndarray, "*batch width"]) -> Float[np.ndarray, "*batch 1"]:
    """Return the sum over the last axis, which is kept."""
    return np.einsum("...d->...", x)[..., None]


def sum_of_rows(x: Float[Array, "*batch rows width"]) -> Float[Array, "*batch width"]:
    """Return the sum of the rows, as a product with ones. Can be differentiated any number of times."""
    return anp.matmul(np.ones(x.shape[-2], x.dtype), x)
