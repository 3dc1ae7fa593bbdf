"""Classifier-free guidance: u + s (c − u).

s = 1 is conditional, s = 0 unconditional, both to the bit and at the price of one forward pass; any other s takes two.
Other papers write c + w (c − u), with s = 1 + w.
"""

from elt_ref.arrays import Array


def guide(conditional: Array, unconditional: Array, scale: float) -> Array:
    """Return ``unconditional + scale · (conditional − unconditional)``, for predictions of any shape."""
    return unconditional + scale * (conditional - unconditional)


def branches(scale: float) -> int:
    """Return how many forward passes a prediction at this scale takes: 1 or 2."""
    return 1 if scale in (0, 1) else 2
