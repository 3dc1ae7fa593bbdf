"""Schedules over steps: how many tokens are masked, λ of the ILSD loss, the learning rate, guidance, temperature.

    γ(r) = cos(π r / 2)                    masked fraction, r from 0 (all masked) to 1 (none)
    λ(i) = 1 − i / (I − 1)                 weight of the student's ground truth in training step i of I
    s_k  = 1 + (s − 1) k / (K − 1)         the guidance ramp over sampling steps k = 0 … K − 1

Source: maskgit/libml/mask_schedule.py and parallel_decode.py for the masks, which training and decoding share.
"""

import math

import numpy as np
from jaxtyping import Float, Int

from elt_ref.config import TrainingConfig

SMALLEST_FRACTION = 1e-6
"""Lower clip of γ."""

TEMPERATURES = {"plain": (1.0, 0.0), "elt": (0.5, 0.8)}
"""Bias and scale of the sampling temperature, STemp = bias + scale (1 − (k + 1)/K); "elt" is the paper's appendix."""


def masked_fraction(ratio: Float[np.ndarray, " batch"]) -> Float[np.ndarray, " batch"]:
    """Return γ(r) = cos(π r / 2), clipped to [1e-6, 1], in the dtype of `ratio`.

    Args:
        ratio: r in [0, 1], from all masked (0) to none (1).
    """
    quarter_turn = ratio.dtype.type(math.pi / 2)
    return np.clip(np.cos(quarter_turn * ratio), SMALLEST_FRACTION, 1)


def masked_count(
    tokens: int | Int[np.ndarray, " batch"], ratio: Float[np.ndarray, " batch"]
) -> Int[np.ndarray, " batch"]:
    """Return ⌊tokens · γ(ratio)⌋; the caller sets the bounds.

    In float64, so that ⌊256 γ(2/3)⌋ = 128; a float32 `ratio` gives the 127 of MaskGIT's float32 code.
    """
    return np.floor(np.multiply(tokens, masked_fraction(ratio), dtype=ratio.dtype)).astype(np.int64)


def mask_lengths(
    start: Int[np.ndarray, " batch"], unknown: Int[np.ndarray, " batch"], *, step: int, steps: int, precision: str
) -> Int[np.ndarray, " batch"]:
    """Return how many tokens of each row stay masked after decoding step `step`.

    max(1, min(unknown − 1, ⌊start · γ((step + 1)/steps)⌋)), and never more than are unknown (a row without unknown
    tokens masks nothing).

    Args:
        start: unknown tokens before the first step.
        unknown: unknown tokens before this step.
        step: k, 0 … steps − 1.
        steps: K.
        precision: ``"float64"`` or ``"float32"``: decides the floor tie at (step + 1)/steps = 2/3.
    """
    wanted = masked_count(start, np.full(len(start), (step + 1) / steps, precision))
    return np.minimum(np.maximum(1, np.minimum(unknown - 1, wanted)), unknown)


def truth_weight_at(step: int, steps: int) -> float:
    """Return λ of training step `step`: linear, exactly 1 at the first step and exactly 0 at the last.

    λ = 1 − step / (steps − 1), within [0, 1]; a training of one step has λ = 1.
    """
    return float(min(1.0, max(0.0, 1 - step / max(1, steps - 1))))


def learning_rate_at(step: int, training: TrainingConfig) -> float:
    """Return η of training step `step`: a linear warm-up from 1/W of the rate, then constant, or a cosine to zero.

    The cosine would reach zero one step after the last, so that the last step still learns.
    """
    warmup, rate = training.warmup_steps, training.learning_rate
    if step < warmup:
        return rate * (step + 1) / warmup
    if training.schedule == "constant":
        return rate
    way = (step - warmup) / max(1, training.steps - warmup)
    return rate * 0.5 * (1 + math.cos(math.pi * min(1.0, way)))


def guidance_scale_at(step: int, steps: int, *, scale: float, schedule: str) -> float:
    """Return the guidance scale of sampling step `step` (0 … steps − 1).

    Args:
        step: k.
        steps: K.
        scale: s.
        schedule: ``"constant"``, or ``"ramp"``: s_k = 1 + (s − 1) k / (K − 1). The ramp's first step is conditional,
            also where it is the only one (open-muse's ramp starts unconditional).
    """
    if schedule == "constant":
        return scale
    return 1 + (scale - 1) * step / max(1, steps - 1)


def sampling_temperature(step: int, steps: int, preset: str) -> float:
    """Return STemp of decoding step `step` (0 … steps − 1), which divides the logits before sampling."""
    bias, scale = TEMPERATURES[preset]
    return bias + scale * (1 - (step + 1) / steps)
