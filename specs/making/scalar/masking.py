"""Number and choice of masked tokens, in training and decoding (E1): γ(r) = cos(π r / 2) within [1e-6, 1].

Source: MaskGIT's mask_schedule.py and parallel_decode.py, over one row of tokens.
"""

import math
import struct

from specs.making.scalar.arithmetic import log_softmax

TEMPERATURES = {"plain": (1.0, 0.0), "elt": (0.5, 0.8)}
"""Bias and scale of STemp = bias + scale (1 − (k + 1)/K)."""


def masked_fraction(ratio: float) -> float:
    """Return γ(r)."""
    return min(max(math.cos(math.pi * ratio / 2), 1e-6), 1.0)


def lowest(scores: list[float], count: int) -> list[bool]:
    """Mark the `count` lowest scores; the first of ties."""
    places = sorted(range(len(scores)), key=lambda place: (scores[place], place))
    chosen = set(places[:count])
    return [place in chosen for place in range(len(scores))]


def mask_of_training(ratio: float, order: list[float]) -> list[bool]:
    """Mask the max(1, ⌊n γ(r)⌋) tokens with the lowest order."""
    return lowest(order, max(1, math.floor(len(order) * masked_fraction(ratio))))


def drop_label(label: int, draw: float, rate: float, classes: int) -> int:
    """Return the label, or `classes` ("no class") if the draw is below the rate."""
    return classes if draw < rate else label


def single(number: float) -> float:
    """Return the float32 nearest to a number."""
    return struct.unpack("f", struct.pack("f", number))[0]


def single_fraction(ratio: float) -> float:
    """Return γ(r) in float32 arithmetic: every result is rounded."""
    return min(max(single(math.cos(single(single(math.pi / 2) * single(ratio)))), single(1e-6)), 1.0)


def mask_length(start: int, unknown: int, step: int, steps: int, precision: str = "float64") -> int:
    """Return max(1, min(unknown − 1, ⌊start γ((k + 1)/K)⌋)); a row without unknown tokens masks none."""
    ratio = (step + 1) / steps
    product = start * masked_fraction(ratio) if precision == "float64" else single(start * single_fraction(ratio))
    wanted = math.floor(product)
    return max(1, min(unknown - 1, wanted)) if unknown else 0


def mask_lengths(start: int, steps: int, precision: str = "float64") -> list[int]:
    """Return the number still masked after each step; a step begins with the tokens that the previous one left."""
    lengths, unknown = [], start
    for step in range(steps):
        unknown = mask_length(start, unknown, step, steps, precision)
        lengths.append(unknown)
    return lengths


def decode_step(
    logits: list[list[float]],
    tokens: list[int],
    start: int,
    token_noise: list[list[float]],
    confidence_noise: list[float],
    *,
    step: int,
    steps: int,
    mask_token: int,
    choice_temperature: float,
    sampling_temperature: str,
    precision: str,
) -> tuple[list[int], list[int]]:
    """E1 for one row: return its tokens, some masked again, and its answer, none masked.

    Unknown tokens become the argmax of logits / STemp + Gumbel. Their confidence is log p of the untempered logits plus
    annealed Gumbel noise; known tokens have infinite confidence.
    """
    remaining = 1 - (step + 1) / steps
    bias, scale = TEMPERATURES[sampling_temperature]
    temperature = bias + scale * remaining
    answer, confidences = [], []
    for row, token, gumbels, gumbel in zip(logits, tokens, token_noise, confidence_noise, strict=True):
        if token != mask_token:
            answer.append(token)
            confidences.append(math.inf)
            continue
        scores = [logit / temperature + g for logit, g in zip(row, gumbels, strict=True)]
        choice = scores.index(max(scores))
        answer.append(choice)
        confidences.append(log_softmax(row)[choice] + choice_temperature * remaining * gumbel)
    length = mask_length(start, tokens.count(mask_token), step, steps, precision)
    hidden = lowest(confidences, length)
    return [mask_token if hide else choice for hide, choice in zip(hidden, answer, strict=True)], answer
