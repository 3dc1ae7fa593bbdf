"""Parallel decoding of masked tokens: predict all, keep the most confident, mask the rest again, K times.

    logits → sample every unknown token → confidence = log p + τ (1 − (k + 1)/K) Gumbel → re-mask the least confident

Source: maskgit/libml/parallel_decode.py, E1 of the paper: X_k = Mask ∘ Sample(M(X_k−1, c), k).
The answer is the last step's samples *before* re-masking. Randomness comes in as arrays.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from elt_ref.arrays import lowest
from elt_ref.config import SamplingConfig
from elt_ref.ops import log_softmax
from elt_ref.schedules import mask_lengths, sampling_temperature


class DecodeNoise(NamedTuple):
    """The randomness of one decoding step: standard Gumbel variables."""

    tokens: Float[np.ndarray, "batch tokens codes"]
    """Noise on the tempered logits: the largest sum is a draw from their softmax."""
    confidence: Float[np.ndarray, "batch tokens"]
    """Noise on the confidence, scaled by the annealed temperature."""


def decode_step(
    logits: Float[np.ndarray, "batch tokens codes"],
    tokens: Int[np.ndarray, "batch tokens"],
    noise: DecodeNoise,
    *,
    step: int,
    steps: int,
    start: Int[np.ndarray, " batch"],
    mask_token: int,
    sampling: SamplingConfig,
) -> tuple[Int[np.ndarray, "batch tokens"], Int[np.ndarray, "batch tokens"]]:
    """E1: one step of parallel decoding. Tokens that are known never change.

    Args:
        logits: the network's prediction for `tokens`, guided already.
        tokens: codes, and `mask_token` where unknown.
        noise: the step's randomness.
        step: k, 0 … steps − 1.
        steps: K.
        start: unknown tokens of each row before the first step.
        mask_token: the id that means unknown.
        sampling: temperatures and the precision of the mask schedule.

    Returns:
        The tokens of the next step, and the step's answer: every unknown token sampled, none masked again.
    """
    unknown = tokens == mask_token
    temperature = sampling_temperature(step, steps, sampling.sampling_temperature)
    logits = logits[unknown]
    choices = (logits / temperature + noise.tokens[unknown]).argmax(axis=-1)
    samples = tokens.astype(np.int64)
    samples[unknown] = choices

    # Confidence comes from the untempered prediction; known tokens are beyond doubt.
    log_probabilities = np.take_along_axis(log_softmax(logits), choices[:, None], axis=-1)[:, 0]
    annealed = sampling.choice_temperature * (1 - (step + 1) / steps)
    confidence = np.full(tokens.shape, np.inf, logits.dtype)
    confidence[unknown] = log_probabilities + annealed * noise.confidence[unknown]

    lengths = mask_lengths(start, unknown.sum(axis=1), step=step, steps=steps, precision=sampling.schedule_precision)
    return np.where(lowest(confidence, lengths), mask_token, samples), samples
