"""A guided prediction at any number of loops, in either family: a fixed number, or until it stops changing."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

from elt_ref.arrays import Tree
from elt_ref.config import Experiment
from elt_ref.generation.guidance import branches, guide
from elt_ref.idea import EXTRA, Idea
from elt_ref.model import Network, block_of, loop_states, run, with_idea
from elt_ref.schedules import EarlyExit

Prediction: TypeAlias = Float[np.ndarray, "batch *shape"]
Change: TypeAlias = Callable[[Any, Any, Any], Any]
"""``change(before, after, rows) -> [rows]``: how far the predictions of these rows of the batch moved, in 0 … 1."""
Measure: TypeAlias = Callable[[Any, Any], Any]
"""``measure(predictions, rows) -> [rows]``: what an `EarlyExit` compares with its threshold, from the predictions of
these rows after 1, 2, … loops."""


def guided_forward(
    network: Network,
    parameters: Tree,
    config: Experiment,
    inputs: tuple[Any, ...],
    labels: Int[np.ndarray, " batch"],
    *,
    loops: int | EarlyExit,
    guidance_scale: float,
    change: Change,
    unknown: Bool[np.ndarray, "batch tokens"] | None = None,
    idea: Idea | None = None,
) -> tuple[Prediction, Int[np.ndarray, " batch"]]:
    """Return the guided prediction and the loops of each sample. Both branches of guidance take the same loops.

    They share nothing but the fixed positions: the label enters before the first layer, as a token or in every
    modulation, so every state depends on it.

    Args:
        network: functions of the family.
        parameters: as from `init_parameters`.
        config: experiment.
        inputs: inputs of the network, without the labels.
        labels: classes.
        loops: a number, or an `EarlyExit`.
        guidance_scale: s; at 0 and 1 one branch is evaluated, otherwise both.
        change: measure of the change that an `EarlyExit` compares with its threshold.
        unknown: masked family: tokens whose predictions are read; others may be predicted as zero. All by default.
        idea: functions in the place of the package's.
    """
    measure = partial(_settling, change)
    if idea is not None and idea.early_exit is not None:
        measure = partial(_own_rule, idea.early_exit, unknown, parameters.get(EXTRA, {}))
    if guidance_scale != 1:
        unconditional = np.full(labels.shape, config.model.unconditional_class)
        labels = unconditional if guidance_scale == 0 else np.concatenate([labels, unconditional])
    if branches(guidance_scale) == 2:
        inputs = tuple(map(twice, inputs))
        unknown = None if unknown is None else twice(unknown)
    if isinstance(loops, EarlyExit):
        network = network if idea is None else with_idea(network, idea, parameters)
        return _until_settled(network, parameters, config, (*inputs, labels), loops, guidance_scale, measure, unknown)
    (prediction,) = run(network, parameters, config, (*inputs, labels), exits=[loops], wanted=unknown, idea=idea)
    prediction = join_branches(prediction, guidance_scale)
    return prediction, np.full(len(prediction), loops)


def join_branches(prediction: Float[np.ndarray, "rows *shape"], scale: float) -> Prediction:
    """Return the guided prediction of a batch whose second half, where there is one, is unconditional."""
    if branches(scale) == 1:
        return prediction
    conditional, unconditional = np.split(prediction, 2)
    return guide(conditional, unconditional, scale)


def twice(array: np.ndarray) -> np.ndarray:
    """Return the batch, and after it the batch again."""
    return np.concatenate([array, array])


def _until_settled(
    network: Network,
    parameters: Tree,
    config: Experiment,
    inputs: tuple[Any, ...],
    rule: EarlyExit,
    scale: float,
    measure: Measure,
    unknown: np.ndarray | None,
) -> tuple[Prediction, Int[np.ndarray, " batch"]]:
    sides = branches(scale)
    batch = len(inputs[-1]) // sides
    state, layers, tree = network.embed(parameters, config.model, *inputs)
    block, head = block_of(network, layers, config), _head(network, tree, config, unknown)
    states = network.loop_states(block, state, rule.max_loops)
    # Samples that still loop, and their places among those that are computed.
    rows = here = np.arange(batch)
    prediction, used, seen = np.empty(0), np.zeros(batch, np.int64), []
    for loop in range(1, rule.max_loops + 1):
        state = next(states)
        new = join_branches(head(state), scale)[here]
        prediction = np.empty_like(new) if loop == 1 else prediction
        prediction[rows], used[rows] = new, loop
        seen.append(new)
        moving = measure(seen, rows) > rule.threshold
        if not moving.any():
            break
        if not moving.all():  # samples that have settled leave the batch
            rows, here, seen = rows[moving], here[moving], [each[moving] for each in seen]
            if network.loop_states is not loop_states:  # an idea's states may depend on more than the last
                continue
            kept, here = np.tile(moving, sides), np.arange(len(rows))
            state, inputs = state[kept], tuple(array[kept] for array in inputs)
            unknown = None if unknown is None else unknown[kept]
            _, layers, tree = network.embed(parameters, config.model, *inputs)
            block, head = block_of(network, layers, config), _head(network, tree, config, unknown)
            states = network.loop_states(block, state, rule.max_loops - loop)
    return prediction, used


def _settling(change: Change, predictions: list[Any], rows: np.ndarray) -> np.ndarray:
    """Return how far the last prediction moved; the first one moves without end, for nothing stands before it."""
    if len(predictions) == 1:
        return np.full(len(rows), np.inf)
    return change(predictions[-2], predictions[-1], rows)


def _own_rule(
    rule: Callable[..., np.ndarray],
    unknown: np.ndarray | None,
    extra: Tree,
    predictions: list[Any],
    rows: np.ndarray,
) -> np.ndarray:
    """Return what an idea measures."""
    return rule(predictions, None if unknown is None else unknown[rows], extra=extra)


def _head(network: Network, tree: Tree, config: Experiment, unknown: np.ndarray | None) -> Callable[[Any], Any]:
    """Return the head as a function of the state alone, for unknown tokens only where they are given."""
    head = partial(network.head, tree, config.model)
    return head if unknown is None else partial(head, wanted=unknown)
