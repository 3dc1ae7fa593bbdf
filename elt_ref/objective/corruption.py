"""Corruption of a training batch: which tokens are masked and whose labels are dropped. Pure functions of draws."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from elt_ref.config import DiffusionModelConfig, MaskedModelConfig
from elt_ref.errors import RequestError
from elt_ref.generation import masked_count
from elt_ref.model import check_labels


def mask_tokens(
    ratio: Float[np.ndarray, " batch"], order: Float[np.ndarray, "batch tokens"]
) -> Bool[np.ndarray, "batch tokens"]:
    """Return which tokens are masked: max(1, ⌊tokens · γ(ratio)⌋) a sample, those that come first in `order`.

    Args:
        ratio: uniform draws in [0, 1), float64; one a sample (all equal where the ratio is drawn per batch).
        order: uniform draws; a sample's masked tokens are those with the lowest, ties by position.
    """
    count = np.maximum(1, masked_count(order.shape[1], ratio))
    ranks = np.argsort(np.argsort(order, axis=1, kind="stable"), axis=1)
    return ranks < count[:, None]


def check_classes(labels: Any, batch: int, model: MaskedModelConfig | DiffusionModelConfig) -> None:
    """Raise RequestError unless `labels` are classes [batch] to learn from: before dropping hides what is wrong."""
    check_labels(labels, batch, model)
    if (labels == model.unconditional_class).any():
        raise RequestError(f"labels: expected classes in 0…{model.classes - 1} to learn from, got the one for none")


def drop_labels(
    labels: Int[np.ndarray, " batch"], draws: Float[np.ndarray, " batch"], *, rate: float, unconditional: int
) -> Int[np.ndarray, " batch"]:
    """Return the labels with those whose draw lies below `rate` replaced by the unconditional class.

    Args:
        labels: classes.
        draws: uniform in [0, 1); one a sample, or all equal to drop whole batches as the paper says.
        rate: share of labels dropped.
        unconditional: the label that means none.
    """
    return np.where(draws < rate, unconditional, labels.astype(np.int64))
