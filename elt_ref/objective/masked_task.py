"""The task of the masked family: some tokens are masked, some labels dropped; predict the masked tokens."""

from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from elt_ref.config import Config, MaskedModelConfig, masked_model
from elt_ref.errors import RequestError
from elt_ref.model import check_tokens
from elt_ref.objective.corruption import check_classes, drop_labels, mask_tokens
from elt_ref.objective.masked_losses import masked_distillation, masked_ground_truth
from elt_ref.objective.task import Batch, Task


class MaskedDraws(NamedTuple):
    """Every random choice of one step, as numbers: a step with the same draws is the same step."""

    mask_ratio: Float[np.ndarray, " batch"]
    """Uniform in [0, 1); all equal where drawn per batch."""
    mask_order: Float[np.ndarray, "batch tokens"]
    """Uniform; a sample's lowest are masked."""
    label_drop: Float[np.ndarray, " batch"]
    """Uniform in [0, 1); all equal where drawn per batch."""
    student_loops: int | None
    """L_int; None for the vanilla objective."""


def check_examples(batch: Batch, model: MaskedModelConfig) -> None:
    """Raise RequestError unless the batch holds codes and classes: before masking, which would hide what is wrong."""
    check_tokens(batch.examples, model)
    check_classes(batch.labels, len(batch.examples), model)
    if (batch.examples == model.mask_token).any():
        raise RequestError(f"tokens: expected codes in 0…{model.codebook_size - 1} to learn from, got the mask")


def masked_task(config: Config, batch: Batch, draws: MaskedDraws) -> Task:
    """Return the network's inputs (tokens, labels) and E7, E8 over the masked tokens.

    Raises:
        RequestError: tokens or labels of another dtype, shape or range.
    """
    model, objective = masked_model(config), config.objective
    check_examples(batch, model)
    mask = mask_tokens(draws.mask_ratio, draws.mask_order)
    labels = drop_labels(
        batch.labels, draws.label_drop, rate=objective.label_drop_rate, unconditional=model.unconditional_class
    )
    return recovery_task(config, batch.examples, mask, labels)


def recovery_task(
    config: Config,
    tokens: Int[np.ndarray, "batch tokens"],
    mask: Bool[np.ndarray, "batch tokens"],
    labels: Int[np.ndarray, " batch"],
) -> Task:
    """Return the task of recovering those of the true `tokens` that `mask` hides."""
    objective = config.objective
    seen = np.where(mask, masked_model(config).mask_token, tokens.astype(np.int64))
    return Task(
        inputs=(seen, labels),
        ground_truth=partial(
            masked_ground_truth,
            tokens=tokens,
            mask=mask,
            reduction=objective.reduction,
            label_smoothing=objective.label_smoothing,
        ),
        distillation=partial(masked_distillation, mask=mask, reduction=objective.reduction),
    )
