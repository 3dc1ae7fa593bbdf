"""A guided prediction at any number of loops, in either family: a fixed number, or until it stops changing."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

from elt_ref.arrays import Tree
from elt_ref.config import Experiment
from elt_ref.generation.guidance import branches, guide
from elt_ref.model import Network, block_of, run
from elt_ref.schedules import EarlyExit

Prediction: TypeAlias = Float[np.ndarray, "batch *shape"]
Change: TypeAlias = Callable[[Any, Any, Any], Any]
"""``change(before, after, rows) -> [rows]``: how far the predictions of these rows of the batch moved, in 0 … 1."""


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
    """
    if guidance_scale != 1:
        unconditional = np.full(labels.shape, config.model.unconditional_class)
        labels = unconditional if guidance_scale == 0 else np.concatenate([labels, unconditional])
    if branches(guidance_scale) == 2:
        inputs = tuple(map(twice, inputs))
        unknown = None if unknown is None else twice(unknown)
    if isinstance(loops, EarlyExit):
        return _until_settled(network, parameters, config, (*inputs, labels), loops, guidance_scale, change, unknown)
    (prediction,) = run(network, parameters, config, (*inputs, labels), exits=[loops], wanted=unknown)
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
    change: Change,
    unknown: np.ndarray | None,
) -> tuple[Prediction, Int[np.ndarray, " batch"]]:
    sides = branches(scale)
    batch = len(inputs[-1]) // sides
    state, layers, tree = network.embed(parameters, config.model, *inputs)
    block, head = block_of(network, layers, config), _head(network, tree, config, unknown)
    state = block(state)
    prediction = join_branches(head(state), scale)
    rows, used = np.arange(batch), np.ones(batch, np.int64)
    for loop in range(2, rule.max_loops + 1):
        state = block(state)
        new = join_branches(head(state), scale)
        used[rows] = loop
        moving = change(prediction[rows], new, rows) > rule.threshold
        prediction[rows] = new
        if not moving.any():
            break
        if not moving.all():  # samples that have settled leave the batch
            rows, kept = rows[moving], np.tile(moving, sides)
            state, inputs = state[kept], tuple(array[kept] for array in inputs)
            unknown = None if unknown is None else unknown[kept]
            _, layers, tree = network.embed(parameters, config.model, *inputs)
            block, head = block_of(network, layers, config), _head(network, tree, config, unknown)
    return prediction, used


def _head(network: Network, tree: Tree, config: Experiment, unknown: np.ndarray | None) -> Callable[[Any], Any]:
    """Return the head as a function of the state alone, for unknown tokens only where they are given."""
    head = partial(network.head, tree, config.model)
    return head if unknown is None else partial(head, wanted=unknown)
