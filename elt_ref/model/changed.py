"""A network with an idea's functions in the place of the family's."""

from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from elt_ref.arrays import Array, Tree
from elt_ref.idea import EXTRA, Idea
from elt_ref.model.network import Embedded, Network


def with_idea(network: Network, idea: Idea, parameters: Tree) -> Network:
    """Return the network in which an idea's functions stand in the place of the family's.

    Args:
        network: functions of the family.
        idea: an idea, of which the layer and `loop_states` count here.
        parameters: as from `init_parameters` with the idea, whose tensors its functions are handed.
    """
    extra = parameters.get(EXTRA, {})
    if idea.loop_states is not None:
        network = network._replace(loop_states=partial(idea.loop_states, extra=extra))
    layer = getattr(idea, network.layer.__name__)
    if layer is None:
        return network

    def embed(*arguments: Any) -> Embedded:
        # A layer is handed all that it is differentiated by, so that it can be rematerialised.
        embedded = network.embed(*arguments)
        return embedded._replace(layers=[{"layer": tree, "extra": extra} for tree in embedded.layers])

    def whole(
        tree: Tree,
        x: Float[Array, "batch tokens width"],
        *,
        heads: int,
        epsilon: float,
        rows: Int[np.ndarray, " rows"] | None = None,
    ) -> Float[Array, "batch tokens width"] | Float[Array, "rows width"]:
        state = layer(tree["layer"], x, heads=heads, epsilon=epsilon, extra=tree["extra"])
        return state if rows is None else state.reshape((-1, state.shape[-1]))[rows]

    return network._replace(embed=embed, layer=whole)
