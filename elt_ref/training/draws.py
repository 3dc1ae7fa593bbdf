"""The randomness of training, drawn from named streams: each step's choices, and which examples it learns from."""

from typing import TypeAlias

import numpy as np
from jaxtyping import Int

from elt_ref.config import Config, DiffusionModelConfig
from elt_ref.objective import DiffusionDraws, MaskedDraws, draw_student_loops
from elt_ref.streams import stream

Draws: TypeAlias = MaskedDraws | DiffusionDraws


def stream_names(config: Config) -> tuple[str, ...]:
    """Return the names of the streams that a run draws from."""
    of_the_family = MaskedDraws if config.model.family == "masked" else DiffusionDraws
    return ("order", *of_the_family._fields)


def draw(config: Config, step: int) -> Draws:
    """Make the draws of step `step`, one stream each, named after the field."""
    model, objective = config.model, config.objective
    batch = config.training.batch_size

    def uniform(name: str, per: str = "sample") -> np.ndarray:
        generator = stream(config.seed, name, step)
        return generator.random(batch) if per == "sample" else np.full(batch, generator.random())

    student_loops = None
    if objective.kind == "ilsd":
        generator = stream(config.seed, "student_loops", step)
        student_loops = draw_student_loops(generator, min_loops=objective.min_loops, max_loops=model.max_loops)
    label_drop = uniform("label_drop", objective.label_drop_per)
    if isinstance(model, DiffusionModelConfig):
        noise = stream(config.seed, "noise", step).standard_normal((batch, *model.shape))
        return DiffusionDraws(uniform("time"), noise.astype(config.training.dtype), label_drop, student_loops)
    order = stream(config.seed, "mask_order", step).random((batch, model.tokens))
    return MaskedDraws(uniform("mask_ratio", objective.mask_ratio_per), order, label_drop, student_loops)


def batch_indices(config: Config, step: int, examples: int) -> Int[np.ndarray, " batch"]:
    """Return which examples step `step` learns from: epoch after epoch, each in an order of its own."""
    size = config.training.batch_size
    positions = np.arange(step * size, (step + 1) * size)
    epochs = {int(epoch) for epoch in positions // examples}
    orders = {epoch: stream(config.seed, "order", epoch).permutation(examples) for epoch in epochs}
    return np.array([orders[int(position // examples)][position % examples] for position in positions])
