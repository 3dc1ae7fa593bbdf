"""One training step as a pure function: (state, batch, draws) → (state, info)."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from elt_ref.arrays import Tree
from elt_ref.config import Config
from elt_ref.model import init_parameters, loop_states, open_network
from elt_ref.objective import (
    LossTerms,
    draw_student_loops,
    drop_labels,
    ilsd_loss,
    mask_tokens,
    masked_distillation,
    masked_ground_truth,
    truth_weight_at,
    vanilla_loss,
)
from elt_ref.ops import value_and_gradient
from elt_ref.streams import stream
from elt_ref.training.optimizer import Moments, adamw, clip_gradient, learning_rate_at, moving_average, zero_moments


class TrainState(NamedTuple):
    """Everything a step changes."""

    step: int
    """Steps done."""
    parameters: Tree
    moments: Moments
    average: Tree
    """Exponential moving average of the parameters."""


class Batch(NamedTuple):
    """Examples of one step."""

    tokens: Int[np.ndarray, "batch tokens"]
    labels: Int[np.ndarray, " batch"]


class Draws(NamedTuple):
    """Every random choice of one step, as numbers: a step with the same draws is the same step."""

    mask_ratio: Float[np.ndarray, " batch"]
    """Uniform in [0, 1); all equal where drawn per batch."""
    mask_order: Float[np.ndarray, "batch tokens"]
    """Uniform; a sample's lowest are masked."""
    label_drop: Float[np.ndarray, " batch"]
    """Uniform in [0, 1); all equal where drawn per batch."""
    student_loops: int | None
    """L_int; None for the vanilla objective."""


class StepInfo(NamedTuple):
    """What a step reports."""

    terms: LossTerms
    truth_weight: float
    """λ"""
    student_loops: int | None
    gradient_norm: float
    """Before clipping."""
    learning_rate: float


def init_state(config: Config) -> TrainState:
    """Return the state before the first step."""
    parameters = init_parameters(config)
    return TrainState(0, parameters, zero_moments(parameters), parameters)


STREAMS = ("order", "mask_ratio", "mask_order", "label_drop", "student_loops")
"""The named streams of training (see `elt_ref.streams`)."""


def draw(config: Config, step: int) -> Draws:
    """Make the draws of step `step` from the run's streams."""
    batch, objective = config.training.batch_size, config.objective

    def uniform(name: str, per: str) -> np.ndarray:
        generator = stream(config.seed, name, step)
        return generator.random(batch) if per == "sample" else np.full(batch, generator.random())

    student_loops = None
    if objective.kind == "ilsd":
        student_loops = draw_student_loops(
            stream(config.seed, "student_loops", step),
            min_loops=objective.min_loops,
            max_loops=config.model.max_loops,
        )
    return Draws(
        mask_ratio=uniform("mask_ratio", objective.mask_ratio_per),
        mask_order=stream(config.seed, "mask_order", step).random((batch, config.model.tokens)),
        label_drop=uniform("label_drop", objective.label_drop_per),
        student_loops=student_loops,
    )


def batch_indices(config: Config, step: int, examples: int) -> Int[np.ndarray, " batch"]:
    """Return which examples step `step` learns from: epoch after epoch, each in an order of its own."""
    size = config.training.batch_size
    positions = np.arange(step * size, (step + 1) * size)
    epochs = {int(epoch) for epoch in positions // examples}
    orders = {epoch: stream(config.seed, "order", epoch).permutation(examples) for epoch in epochs}
    return np.array([orders[int(position // examples)][position % examples] for position in positions])


def loss_terms(parameters: Tree, batch: Batch, draws: Draws, *, truth_weight: float, config: Config) -> LossTerms:
    """Return the configured objective: one pass of N · L_max layer calls, and two heads (one for vanilla)."""
    model, objective = config.model, config.objective
    mask = mask_tokens(draws.mask_ratio, draws.mask_order)
    tokens = np.where(mask, model.mask_token, batch.tokens.astype(np.int64))
    labels = drop_labels(
        batch.labels, draws.label_drop, rate=objective.label_drop_rate, unconditional=model.unconditional_class
    )
    network = open_network(parameters, config, tokens, labels)
    states = list(loop_states(network.block, network.state, model.max_loops))
    ground_truth = partial(
        masked_ground_truth,
        tokens=batch.tokens,
        mask=mask,
        reduction=objective.reduction,
        label_smoothing=objective.label_smoothing,
    )
    if draws.student_loops is None:
        return vanilla_loss(states, network.head, ground_truth)
    distillation = partial(masked_distillation, mask=mask, reduction=objective.reduction)
    return ilsd_loss(states, draws.student_loops, network.head, ground_truth, distillation, truth_weight=truth_weight)


def train_step(state: TrainState, batch: Batch, draws: Draws, *, config: Config) -> tuple[TrainState, StepInfo]:
    """Return the state after one step, and what happened. The given state is not changed."""
    training = config.training
    truth_weight = truth_weight_at(state.step, training.steps)

    def objective(parameters: Tree) -> tuple[Any, LossTerms]:
        terms = loss_terms(parameters, batch, draws, truth_weight=truth_weight, config=config)
        return terms.total, terms

    _, terms, gradient = value_and_gradient(objective, state.parameters)
    gradient, norm = clip_gradient(gradient, training.gradient_clip)
    parameters, moments = adamw(state.parameters, gradient, state.moments, step=state.step, training=training)
    average = moving_average(state.average, parameters, training.average_decay)
    info = StepInfo(
        LossTerms(*map(float, terms)),
        truth_weight,
        draws.student_loops,
        norm,
        learning_rate_at(state.step, training),
    )
    return TrainState(state.step + 1, parameters, moments, average), info
