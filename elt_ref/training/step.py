"""One training step as a pure function: (state, batch, draws) → (state, info). The same for both families."""

from typing import Any, NamedTuple

from elt_ref.arrays import Tree
from elt_ref.config import Config
from elt_ref.model import init_parameters, loop_states, open_network
from elt_ref.objective import (
    Batch,
    LossTerms,
    MaskedDraws,
    Task,
    diffusion_task,
    ilsd_loss,
    masked_task,
    truth_weight_at,
    vanilla_loss,
)
from elt_ref.ops import value_and_gradient
from elt_ref.training.draws import Draws
from elt_ref.training.optimizer import Moments, adamw, clip_gradient, learning_rate_at, moving_average, zero_moments


class TrainState(NamedTuple):
    """Everything a step changes."""

    step: int
    """Steps done."""
    parameters: Tree
    moments: Moments
    average: Tree
    """Exponential moving average of the parameters."""


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


def pose(config: Config, batch: Batch, draws: Draws) -> Task:
    """Return the task of the configured family."""
    if isinstance(draws, MaskedDraws):
        return masked_task(config, batch, draws)
    return diffusion_task(config, batch, draws)


def loss_terms(parameters: Tree, batch: Batch, draws: Draws, *, truth_weight: float, config: Config) -> LossTerms:
    """Return the configured objective: one pass of N · L_max layer calls, and two heads (one for vanilla)."""
    task = pose(config, batch, draws)
    network = open_network(parameters, config, *task.inputs)
    states = list(loop_states(network.block, network.state, config.model.max_loops))
    if draws.student_loops is None:
        return vanilla_loss(states, network.head, task.ground_truth)
    return ilsd_loss(
        states, draws.student_loops, network.head, task.ground_truth, task.distillation, truth_weight=truth_weight
    )


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
    rate = learning_rate_at(state.step, training)
    info = StepInfo(LossTerms(*map(float, terms)), truth_weight, draws.student_loops, norm, rate)
    return TrainState(state.step + 1, parameters, moments, average), info
