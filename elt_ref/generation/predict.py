"""A guided prediction at any number of loops, in either family: a fixed number, or until it stops changing."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Int

from elt_ref.arrays import Tree
from elt_ref.config import Config
from elt_ref.generation.guidance import branches, combine
from elt_ref.generation.loop_schedule import EarlyExit
from elt_ref.model import Network, last_state, open_network

Prediction: TypeAlias = Float[np.ndarray, "batch *shape"]
Change: TypeAlias = Callable[[Any, Any, Any], Any]
"""``change(before, after, rows) -> [rows]``: how far the predictions of these rows of the batch moved, in 0 … 1."""


def predict(
    parameters: Tree,
    config: Config,
    inputs: tuple[Any, ...],
    labels: Int[np.ndarray, " batch"],
    *,
    loops: int | EarlyExit,
    guidance_scale: float,
    change: Change,
) -> tuple[Prediction, Int[np.ndarray, " batch"]]:
    """Return the guided prediction and the loops each sample took. Both branches of guidance take the same loops.

    Args:
        parameters: as from `init_parameters`.
        config: of the network.
        inputs: of the network, without the labels.
        labels: classes.
        loops: a number, or an `EarlyExit`.
        guidance_scale: s; at 0 and 1 one branch is evaluated, otherwise both.
        change: what an `EarlyExit` goes by.
    """
    unconditional = np.full(labels.shape, config.model.unconditional_class)
    sides = [side for side, used in zip((labels, unconditional), branches(guidance_scale), strict=True) if used]

    def open_on(rows: Any) -> Network:
        repeated = (np.concatenate([array[rows]] * len(sides)) for array in inputs)
        return open_network(parameters, config, *repeated, np.concatenate([side[rows] for side in sides]))

    def guided(network: Network, state: Any) -> Any:
        return combine(np.split(network.head(state), len(sides)), guidance_scale)

    if isinstance(loops, EarlyExit):
        return _predict_until_settled(open_on, guided, loops, len(labels), len(sides), change)
    network = open_on(slice(None))
    prediction = guided(network, last_state(network.block, network.state, loops))
    return prediction, np.full(len(labels), loops)


def _predict_until_settled(
    open_on: Callable[[Any], Network],
    guided: Callable[[Network, Any], Any],
    rule: EarlyExit,
    batch: int,
    sides: int,
    change: Change,
) -> tuple[Prediction, Int[np.ndarray, " batch"]]:
    rows = np.arange(batch)  # those whose prediction still changes
    used = np.zeros(batch, dtype=np.int64)
    network = open_on(rows)
    state = network.block(network.state)
    prediction = guided(network, state)
    used[:] = 1
    for loop in range(2, rule.max_loops + 1):
        state = network.block(state)
        new = guided(network, state)
        used[rows] = loop
        moving = change(prediction[rows], new, rows) > rule.threshold
        prediction[rows] = new
        if not moving.any():
            break
        if not moving.all():
            rows = rows[moving]
            state = np.concatenate([side[moving] for side in np.split(state, sides)])
            network = open_on(rows)
    return prediction, used
