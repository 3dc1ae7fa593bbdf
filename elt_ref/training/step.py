"""One training step as a pure function: (state, batch, draws) → (state, info). The same for all families."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from elt_ref.arrays import Tree
from elt_ref.config import DiffusionExperiment, DriftingExperiment, Experiment, MaskedExperiment
from elt_ref.errors import RequestError
from elt_ref.idea import Idea
from elt_ref.model import NETWORKS, init_parameters, run
from elt_ref.objective import (
    Batch,
    Draws,
    FamilyTarget,
    LossTerms,
    MaskedTarget,
    StudentLoops,
    corrupt_diffusion,
    corrupt_masked,
    ilsd_loss,
    pair_drifting,
    vanilla_loss,
)
from elt_ref.ops import value_and_gradient
from elt_ref.schedules import learning_rate_at, truth_weight_at
from elt_ref.training.idea_loss import idea_loss_and_gradient
from elt_ref.training.optimizer import Moments, adamw, clip_gradient, moving_average, zero_moments

CORRUPTIONS: dict[type[Experiment], Callable[..., tuple[tuple[Any, ...], FamilyTarget]]] = {
    MaskedExperiment: corrupt_masked,
    DiffusionExperiment: corrupt_diffusion,
    DriftingExperiment: pair_drifting,
}
"""From a batch and its draws to inputs and target, by type of experiment. Drifting's inputs are noise alone."""


class TrainState(NamedTuple):
    """Everything a step changes."""

    step: int
    """Number of steps done."""
    parameters: Tree
    """Parameters of the network."""
    moments: Moments
    """Running moments of the gradient."""
    average: Tree
    """Exponential moving average of the parameters."""


class StepInfo(NamedTuple):
    """What a step reports."""

    terms: LossTerms
    """Loss and its terms."""
    truth_weight: float
    """λ"""
    student_loops: StudentLoops
    """L_int; None for the vanilla objective; all exits where an idea draws them."""
    gradient_norm: float
    """Global norm before clipping."""
    learning_rate: float
    """η"""


def init_state(config: Experiment, idea: Idea | None = None) -> TrainState:
    """Return the state before the first step."""
    parameters = init_parameters(config, idea=idea)
    return TrainState(0, parameters, zero_moments(parameters), parameters)


def train_step(
    state: TrainState, batch: Batch, draws: Draws, *, config: Experiment, idea: Idea | None = None
) -> tuple[TrainState, StepInfo]:
    """A1: return the state after one step, and what happened. The old state is not changed.

    Raises:
        RequestError: examples, labels or L_int do not fit the configuration.
    """
    training = config.training
    inputs, target = CORRUPTIONS[type(config)](config, batch, draws)
    weight_at = (idea and idea.truth_weight_at) or truth_weight_at
    differentiate = loss_and_gradient if idea is None else partial(idea_loss_and_gradient, idea)
    truth_weight = weight_at(state.step, training.steps)
    rate = learning_rate_at(state.step, training)
    terms, gradient = differentiate(
        state.parameters, config, inputs, target, student_loops=draws.student_loops, truth_weight=truth_weight
    )
    gradient, norm = clip_gradient(gradient, training.gradient_clip)
    parameters, moments = adamw(
        state.parameters, gradient, state.moments, step=state.step, rate=rate, training=training
    )
    average = moving_average(state.average, parameters, training.average_decay)
    info = StepInfo(terms, truth_weight, draws.student_loops, norm, rate)
    return TrainState(state.step + 1, parameters, moments, average), info


def loss_and_gradient(
    parameters: Tree,
    config: Experiment,
    inputs: tuple[Any, ...],
    target: FamilyTarget,
    *,
    student_loops: StudentLoops,
    truth_weight: float,
) -> tuple[LossTerms, Tree]:
    """Return the objective with its terms, and its gradient: one pass of N · L_max layer calls, two heads.

    In the masked family the heads, and the last layer of the last loop, work for masked tokens only.

    Args:
        parameters: parameters of the network.
        config: experiment.
        inputs: inputs of the network, corrupted and checked already.
        target: what the network should predict.
        student_loops: L_int, 1 … L_max − 1; None for the vanilla objective, which has one head.
        truth_weight: λ in [0, 1].

    Raises:
        RequestError: `student_loops` or `truth_weight` is out of range.
    """
    network, max_loops = NETWORKS[type(config)], config.model.max_loops
    if student_loops is not None and (isinstance(student_loops, tuple) or not 1 <= student_loops < max_loops):
        raise RequestError(f"student_loops: expected 1 ≤ L_int < L_max = {max_loops}, got {student_loops}")

    wanted = target.mask if isinstance(target, MaskedTarget) else None

    def loss(parameters: Tree) -> tuple[Any, LossTerms]:
        if student_loops is None:
            (teacher,) = run(network, parameters, config, inputs, exits=[max_loops], wanted=wanted)
            terms = vanilla_loss(target, teacher)
        else:
            exits = [student_loops, max_loops]
            student, teacher = run(network, parameters, config, inputs, exits=exits, wanted=wanted)
            terms = ilsd_loss(target, student, teacher, truth_weight=truth_weight)
        return terms.total, terms

    _, terms, gradient = value_and_gradient(loss, parameters)
    return terms, gradient
