"""Every random choice of a training step: drawn from named streams as numbers, and what the numbers choose.

    E6   L_int ~ U{L_min, …, L_max − 1}

A step with the same batch and the same draws is the same step.
"""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from elt_ref.arrays import check_integers, lowest
from elt_ref.config import DiffusionExperiment, DriftingExperiment, Experiment, ModelConfig
from elt_ref.errors import RequestError
from elt_ref.idea import Idea
from elt_ref.schedules import masked_count
from elt_ref.streams import stream


class Batch(NamedTuple):
    """Examples and their classes: one step's, or the whole data set's."""

    examples: Shaped[np.ndarray, "batch ..."]
    """Tokens [batch, tokens], or samples [batch, height, width, channels]. Of one step of the drifting family: real
    samples of each class, [classes, positives, height, width, channels]."""
    labels: Int[np.ndarray, " batch"]
    """Classes."""


StudentLoops: TypeAlias = int | tuple[int, ...] | None


class MaskedDraws(NamedTuple):
    """The random numbers of one step of the masked family."""

    mask_ratio: Float[np.ndarray, " batch"]
    """r, uniform in [0, 1); all equal where drawn per batch."""
    mask_order: Float[np.ndarray, "batch tokens"]
    """Uniform numbers; each sample masks its lowest."""
    label_drop: Float[np.ndarray, " batch"]
    """Uniform in [0, 1); all equal where drawn per batch."""
    student_loops: StudentLoops
    """L_int; None for the vanilla objective; where an idea draws exits, all of them."""


class DiffusionDraws(NamedTuple):
    """The random numbers of one step of the diffusion family."""

    time: Float[np.ndarray, " batch"]
    """t, uniform in [0, 1), float64; teacher and student share it."""
    noise: Float[np.ndarray, "batch height width channels"]
    """ε, standard normal; teacher and student share it."""
    label_drop: Float[np.ndarray, " batch"]
    """Uniform in [0, 1); all equal where drawn per batch."""
    student_loops: StudentLoops
    """L_int; None for the vanilla objective; where an idea draws exits, all of them."""


class DriftingDraws(NamedTuple):
    """The random numbers of one step of the drifting family."""

    noise: Float[np.ndarray, "batch height width channels"]
    """ε, standard normal, in equal groups of one class each; teacher and student share it."""
    student_loops: StudentLoops
    """L_int; None for the vanilla objective; where an idea draws exits, all of them."""


Draws: TypeAlias = MaskedDraws | DiffusionDraws | DriftingDraws


def take_batch(config: Experiment, step: int, examples: Batch) -> Batch:
    """Return what step `step` learns from, of all examples: a minibatch, or real samples of some classes."""
    if not isinstance(config, DriftingExperiment):
        chosen = batch_indices(config, step, len(examples.labels))
        return Batch(examples.examples[chosen], examples.labels[chosen])
    drifting = config.drifting
    labels = stream(config.seed, "classes", step).permutation(np.unique(examples.labels))[: drifting.classes_per_step]
    generator = stream(config.seed, "positives", step)
    places = [generator.permutation(np.flatnonzero(examples.labels == label))[: drifting.positives] for label in labels]
    return Batch(examples.examples[np.stack(places)], labels)


def batch_indices(config: Experiment, step: int, examples: int) -> Int[np.ndarray, " batch"]:
    """Return the examples of step `step`: epoch after epoch, each in an order of its own."""
    size = config.training.batch_size
    epochs, places = np.divmod(np.arange(step * size, (step + 1) * size), examples)
    indices = np.empty(size, np.int64)
    for epoch in np.unique(epochs):
        order = stream(config.seed, "order", int(epoch)).permutation(examples)
        indices[epochs == epoch] = order[places[epochs == epoch]]
    return indices


def draw(config: Experiment, step: int, idea: Idea | None = None) -> Draws:
    """Return the draws of step `step`: one stream for each field, named after it."""
    objective, batch = config.objective, config.training.batch_size
    student_loops = draw_student(config, step, idea)

    if isinstance(config, DriftingExperiment):
        return DriftingDraws(_noise(config, step), student_loops)

    def uniform(name: str, per: str = "sample") -> np.ndarray:
        generator = stream(config.seed, name, step)
        return generator.random(batch) if per == "sample" else np.full(batch, generator.random())

    label_drop = uniform("label_drop", objective.label_drop_per)
    if isinstance(config, DiffusionExperiment):
        return DiffusionDraws(uniform("time"), _noise(config, step), label_drop, student_loops)
    order = stream(config.seed, "mask_order", step).random((batch, config.model.tokens))
    return MaskedDraws(uniform("mask_ratio", objective.mask_ratio_per), order, label_drop, student_loops)


def _noise(config: DiffusionExperiment | DriftingExperiment, step: int) -> Float[np.ndarray, "batch ..."]:
    shape = config.training.batch_size, *config.model.shape
    return stream(config.seed, "noise", step).standard_normal(shape).astype(config.training.dtype)


def stream_names(config: Experiment) -> tuple[str, ...]:
    """Return the names of the streams that a run draws from."""
    if isinstance(config, DriftingExperiment):
        return ("classes", "positives", *DriftingDraws._fields)
    draws = DiffusionDraws if isinstance(config, DiffusionExperiment) else MaskedDraws
    return ("order", *draws._fields)


def draw_student(config: Experiment, step: int, idea: Idea | None = None) -> StudentLoops:
    """Return L_int of step `step`; None for the vanilla objective; the exits of an idea that draws them."""
    own = idea.draw_exits if idea is not None else None
    if own is None and config.objective.kind == "vanilla":
        return None
    generator = stream(config.seed, "student_loops", step)
    draws = own or draw_student_loops
    return draws(generator, min_loops=config.objective.min_loops, max_loops=config.model.max_loops)


def draw_student_loops(generator: np.random.Generator, *, min_loops: int, max_loops: int) -> int:
    """E6: draw L_int uniformly from {L_min, …, L_max − 1}. One draw serves the whole batch.

    The paper's display says U(L_min, L_max), its prose L_min ≤ L_int < L_max. The prose wins: a student that equals
    the teacher learns nothing.

    Raises:
        RequestError: the set is empty, L_min ≥ L_max, or L_min < 1.
    """
    if not 1 <= min_loops < max_loops:
        raise RequestError(f"student draw: expected 1 ≤ L_min < L_max, got L_min = {min_loops}, L_max = {max_loops}")
    return int(generator.integers(min_loops, max_loops))


def mask_tokens(
    ratio: Float[np.ndarray, " batch"], order: Float[np.ndarray, "batch tokens"]
) -> Bool[np.ndarray, "batch tokens"]:
    """Return the tokens to mask: max(1, ⌊tokens · γ(ratio)⌋) per sample, the lowest in `order`.

    Args:
        ratio: uniform draws in [0, 1), float64; one per sample (all equal where drawn per batch).
        order: uniform draws; each sample masks its lowest, ties by position.
    """
    return lowest(order, np.maximum(1, masked_count(order.shape[1], ratio)))


def drop_labels(
    labels: Int[np.ndarray, " batch"], draws: Float[np.ndarray, " batch"], *, rate: float, unconditional: int
) -> Int[np.ndarray, " batch"]:
    """Return the labels, replaced by the unconditional class where the draw lies below `rate`.

    Args:
        labels: classes.
        draws: uniform in [0, 1); one per sample, or all equal to drop whole batches as the paper says.
        rate: share of labels to drop.
        unconditional: the label that means "no class".
    """
    return np.where(draws < rate, unconditional, labels.astype(np.int64))


def check_classes(labels: Any, batch: int, model: ModelConfig) -> None:
    """Raise RequestError unless `labels` are classes [batch] to learn from: dropping would hide what is wrong."""
    check_integers("labels", labels, (batch,), below=model.label_rows, expected=model.label_range)
    if (labels == model.unconditional_class).any():
        raise RequestError(f"labels: expected classes in 0…{model.classes - 1} to learn from, got the one for none")
