"""How many tokens are masked: the cosine schedule γ, shared by training and by decoding.

Source: maskgit/libml/mask_schedule.py and parallel_decode.py.
"""

import math

import numpy as np
from jaxtyping import Float, Int

SMALLEST = 1e-6
"""γ is clipped to [1e-6, 1]."""


def masked_fraction(ratio: Float[np.ndarray, " batch"]) -> Float[np.ndarray, " batch"]:
    """Return γ(r) = cos(π r / 2), clipped to [1e-6, 1], in the dtype of `ratio`.

    Args:
        ratio: in [0, 1]; the share of the way from all masked (0) to none (1).
    """
    quarter_turn = ratio.dtype.type(math.pi / 2)
    return np.clip(np.cos(quarter_turn * ratio), SMALLEST, 1)


def masked_count(
    tokens: int | Int[np.ndarray, " batch"], ratio: Float[np.ndarray, " batch"]
) -> Int[np.ndarray, " batch"]:
    """Return ⌊tokens · γ(ratio)⌋; the caller sets the bounds.

    In float64, so that ⌊256 γ(2/3)⌋ = 128; a float32 `ratio` gives the 127 of the official float32 code.
    """
    return np.floor(np.multiply(tokens, masked_fraction(ratio), dtype=ratio.dtype)).astype(np.int64)


def mask_lengths(
    start: Int[np.ndarray, " batch"], unknown: Int[np.ndarray, " batch"], *, step: int, steps: int, precision: str
) -> Int[np.ndarray, " batch"]:
    """Return how many tokens of each row stay masked after decoding step `step`.

    max(1, min(unknown − 1, ⌊start · γ((step + 1)/steps)⌋)), and never more than are unknown (a row that knows
    everything masks nothing).

    Args:
        start: unknown tokens before the first step.
        unknown: unknown tokens before this step.
        step: 0 … steps − 1.
        steps: K.
        precision: ``"float64"`` or ``"float32"``: decides the floor tie at (step + 1)/steps = 2/3.
    """
    wanted = masked_count(start, np.full(len(start), (step + 1) / steps, precision))
    return np.minimum(np.maximum(1, np.minimum(unknown - 1, wanted)), unknown)
