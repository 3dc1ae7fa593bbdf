"""The task of the diffusion family: samples are noised to a time, some labels dropped; predict what is asked."""

from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from elt_ref.config import Config, diffusion_model, diffusion_of
from elt_ref.errors import RequestError
from elt_ref.generation import add_noise, log_snr, prediction_target
from elt_ref.objective.corruption import check_classes, drop_labels
from elt_ref.objective.diffusion_losses import diffusion_distillation, diffusion_ground_truth
from elt_ref.objective.task import Batch, Task


class DiffusionDraws(NamedTuple):
    """Every random choice of one step, as numbers: a step with the same draws is the same step."""

    time: Float[np.ndarray, " batch"]
    """t, uniform in [0, 1), float64; teacher and student share it."""
    noise: Float[np.ndarray, "batch height width channels"]
    """Standard normal; shared likewise."""
    label_drop: Float[np.ndarray, " batch"]
    """Uniform in [0, 1); all equal where drawn per batch."""
    student_loops: int | None
    """L_int; None for the vanilla objective."""


def check_samples_to_learn(config: Config, batch: Batch) -> None:
    """Raise RequestError unless the batch holds finite floating-point samples, and classes."""
    model, examples = diffusion_model(config), batch.examples
    if not np.issubdtype(examples.dtype, np.floating) or examples.shape[1:] != model.shape:
        raise RequestError(
            f"examples: expected floating-point samples of shape {list(model.shape)}, "
            f"got {examples.dtype} of shape {list(examples.shape[1:])}"
        )
    if not np.isfinite(examples).all():
        raise RequestError(f"examples: expected finite numbers, got {examples[~np.isfinite(examples)][0]}")
    check_classes(batch.labels, len(examples), model)


def diffusion_task(config: Config, batch: Batch, draws: DiffusionDraws) -> Task:
    """Return the network's inputs (noisy samples, times, labels) and E9, E10 at those times.

    Raises:
        RequestError: samples or labels of another dtype, shape or range.
    """
    objective, diffusion = config.objective, diffusion_of(config)
    check_samples_to_learn(config, batch)
    snr = log_snr(draws.time, diffusion)
    noisy = add_noise(batch.examples, draws.noise, snr)
    labels = drop_labels(
        batch.labels,
        draws.label_drop,
        rate=objective.label_drop_rate,
        unconditional=config.model.unconditional_class,
    )
    judged = {"time": draws.time, "diffusion": diffusion, "reduction": objective.reduction}
    target = prediction_target(diffusion.prediction, batch.examples, draws.noise, snr)
    return Task(
        inputs=(noisy, draws.time, labels),
        ground_truth=partial(diffusion_ground_truth, target=target, **judged),
        distillation=partial(diffusion_distillation, **judged),
    )
