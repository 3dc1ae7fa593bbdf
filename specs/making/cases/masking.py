"""MASK: which tokens are masked in training, and the losses over them."""

from typing import Any

import numpy as np

from specs.making.case import Case
from specs.making.cases.distillation import loss
from specs.making.cases.material import uniform


def masked(clause: str, slug: str, why: str, ratio: list[float], tokens: int, order: np.ndarray | None = None) -> Case:
    """Return a case of masking."""
    drawn = uniform(f"{clause}/{slug}".lower(), len(ratio), tokens) if order is None else order
    return Case(clause, slug, "mask_tokens", why, {}, {"ratio": np.array(ratio), "order": drawn})


TIED = np.array([[0.0, 0.7, 0.0, 0.0, 0.3], [0.0, 0.0, 0.0, 0.0, 0.0], [0.5, 0.0, 0.2, 0.0, 0.9]])
"""An order with ties at zero, where rounding cannot separate them."""
LONG_TIES = np.where(uniform("mask-01/long-ties", 2, 48) < 0.3, uniform("mask-01/long-ties/free", 2, 48), 0.0)
"""Rows so long that a sort must be stable by itself: a quicksort leaves up to sixteen numbers to an insertion sort."""
ONE = [[0, 0, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0]]
ALL = [[1] * 6, [1] * 6]
UNEVEN = [[1, 1, 1, 1, 1, 1], [0, 0, 0, 1, 0, 0], [0, 1, 1, 0, 0, 1]]


def made(clause: str, slug: str, why: str, **settings: Any) -> Case:
    """Return a case of the loss of a small network."""
    return loss(
        clause, slug, why, **{"layers": 1, "max_loops": 2, "batch": len(settings.get("mask") or ONE)} | settings
    )


CASES = (
    masked("MASK-01", "ends", "nothing masked near 1, or not all at 0", [0.0, 0.5, 0.95, 0.999], 6),
    masked("MASK-01", "between", "another schedule, or rounding", [0.1, 0.3, 0.4, 0.55, 0.7, 0.8], 16),
    masked("MASK-01", "one-token", "a single token is always masked", [0.0, 0.6, 0.99], 1),
    masked("MASK-01", "odd", "rounding of an odd number of tokens", [0.25, 0.45, 0.85], 35),
    masked("MASK-01", "lowest", "the highest masked, or the first of the picture", [0.3, 0.6, 0.8], 9),
    masked("MASK-01", "ties", "ties that mask more than the count", [0.7, 0.5, 0.7], 5, TIED),
    masked("MASK-01", "long-ties", "ties in a long row, by a sort that is not stable", [0.8, 0.5], 48, LONG_TIES),
    masked("MASK-01", "one-masked", "exactly one, the lowest", [0.97, 0.98], 7),
    made("MASK-02", "uneven", "tokens that the network sees in the loss", mask=UNEVEN),
    made("MASK-02", "one", "one masked token in each sample", mask=ONE, weight=0.5),
    made("MASK-02", "sum", "tokens that the network sees in the sum", mask=UNEVEN, reduction="sum"),
    made("MASK-03", "uneven", "a mean over the batch's masked tokens", mask=UNEVEN),
    made("MASK-03", "one-and-all", "a sample of one masked token weighs as much as one of all", mask=[ONE[0], ALL[0]]),
    made("MASK-03", "all", "all masked: the mean over all positions is right here alone", mask=ALL),
    made("MASK-03", "uneven-sum", "a mean in place of the sum, or a sum over the batch", mask=UNEVEN, reduction="sum"),
    made("MASK-03", "all-sum", "the sum over all tokens of a sample", mask=ALL, reduction="sum", weight=1.0),
    made("MASK-03", "batch-of-one-sum", "the sum of one sample", mask=[ONE[0]], reduction="sum"),
    made(
        "MASK-04", "tenth", "a smoothed teacher, or a share that leaves out the true code", mask=UNEVEN, smoothing=0.1
    ),
    made("MASK-04", "half-in-sums", "the same in sums, strongly", mask=ONE, smoothing=0.5, reduction="sum"),
    made("MASK-04", "none-in-sums", "smoothing of sums that was not asked for", mask=UNEVEN, reduction="sum"),
    made("MASK-04", "none", "smoothing that was not asked for", mask=ONE, smoothing=0.0),
    made("MASK-02", "seven-codes", "classes and mask among what can be predicted", mask=UNEVEN),
    made(
        "MASK-02",
        "three-codes",
        "a small codebook beside more classes than codes",
        mask=ALL,
        codebook_size=3,
        classes=5,
    ),
)
