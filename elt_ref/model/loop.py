"""The layer f_θ, the block g_Θ (E3), the loop F_(N,L) (E4), and predictions at any of its exits.

    post-LN       a = LN(x + Attn(x)),                     y = LN(a + MLP(a))
    adaLN-Zero    a = x + g₁ Attn(x̂ (1 + s₁) + b₁),        y = a + g₂ MLP(â (1 + s₂) + b₂)
    E3            g_Θ(x) = f_θN(f_θN−1(… f_θ1(x)))
    E4            F_(N,L)(x) = g_Θ(g_Θ(… g_Θ(x)))   L loops, ≡ g_Θ^L(x)

Nothing else is inside the loop: no second injection of the input, no loop index, no norm, no head. So the states of few
loops are, literally, the first states of many loops.

The masked family has the post-LN BERT layer of MaskGIT, the diffusion family DiT's; x̂ and â are normalised without
scale and bias, and the modulation's chunks are b₁, s₁, g₁, b₂, s₂, g₂. Every linear map has a bias, the GELU is the
tanh form, and scores are scaled by 1/√d_head.

Source: maskgit/nets/maskgit_transformer.py, DiT's models.py.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from elt_ref import ops
from elt_ref.arrays import Array, Tree, check_loops
from elt_ref.config import Experiment
from elt_ref.idea import Idea
from elt_ref.model.changed import with_idea
from elt_ref.model.network import Network


def run(
    network: Network,
    parameters: Tree,
    config: Experiment,
    inputs: tuple[Any, ...],
    *,
    exits: Sequence[int],
    wanted: Bool[np.ndarray, "batch tokens"] | None = None,
    idea: Idea | None = None,
) -> list[Any]:
    """Return the predictions after each number of loops in `exits`: one pass, as long as the longest exit.

    Args:
        network: functions of the family.
        parameters: as from `init_parameters`.
        config: experiment.
        inputs: what ``network.embed`` reads; ``network.check`` has passed them.
        exits: numbers of loops, each ≥ 1, in any order.
        wanted: masked family: tokens whose predictions are read; others are predicted as zero. All by default.
        idea: functions in the place of the family's.
    """
    if idea is not None:
        network = with_idea(network, idea, parameters)
    state, layers, tree = network.embed(parameters, config.model, *inputs)
    block, head = block_of(network, layers, config), partial(network.head, tree, config.model)
    last = block
    if wanted is not None:  # the last layer of the last loop, and the heads, work for these tokens alone
        rows = np.flatnonzero(np.pad(wanted, ((0, 0), (1, 0))))  # of the state, which begins with the class token
        last, head = block_of(network, layers, config, rows), partial(head, wanted=wanted)
    predictions = {}
    for loops, x in enumerate(network.loop_states(block, state, max(exits), last=last), start=1):
        if loops in exits:
            predictions[loops] = head(x)
    return [*map(predictions.__getitem__, exits)]


def loop_states(
    block: Callable[[Any], Any], x: Any, loops: int, *, last: Callable[[Any], Any] | None = None
) -> Iterator[Any]:
    """E4: yield g(x), g(g(x)), …: the states after 1, 2, …, `loops` loops.

    Args:
        block: g_Θ, from state to state.
        x: the state before the first loop, which is not yielded.
        loops: L ≥ 1; any number, also above the L_max of training.
        last: the block of the last loop, where it leaves out what nobody reads; `block` by default.

    Raises:
        RequestError: `loops` is not an integer ≥ 1 (at the first state).
    """
    for _ in range(check_loops(loops) - 1):
        x = block(x)
        yield x
    yield (last or block)(x)


def block_of(
    network: Network, layers: Sequence[Tree], config: Experiment, rows: Int[np.ndarray, " rows"] | None = None
) -> Callable[[Any], Any]:
    """Return g_Θ as a function of the state alone; rematerialised where the configuration says so.

    With `rows`, its last layer returns these rows of the flattened state only.
    """
    layer = partial(network.layer, heads=config.model.heads, epsilon=config.model.layer_norm_epsilon)
    block = partial(apply_block, layer, last=None if rows is None else partial(layer, rows=rows))
    if not config.training.rematerialise:
        return partial(block, layers)
    again = ops.rematerialise(lambda x, layers: block(layers, x))
    return lambda x: again(x, layers)


def apply_block(
    layer: Callable[[Tree, Any], Any],
    layers: Sequence[Tree],
    x: Any,
    *,
    last: Callable[[Tree, Any], Any] | None = None,
) -> Any:
    """E3: apply the N layers in order.

    Args:
        layer: ``layer(θ_i, x) -> x``.
        layers: θ_1 … θ_N.
        x: the state.
        last: the last layer, where it leaves out what nobody reads; `layer` by default.
    """
    *others, theta = layers
    for tree in others:
        x = layer(tree, x)
    return (last or layer)(theta, x)


def post_norm_layer(
    parameters: Tree,
    x: Float[Array, "batch tokens width"],
    *,
    heads: int,
    epsilon: float,
    rows: Int[np.ndarray, " rows"] | None = None,
) -> Float[Array, "batch tokens width"] | Float[Array, "rows width"]:
    """Apply f_θ of the masked family: attention and MLP, each followed by the norm of its residual sum.

    Args:
        parameters: one entry of the ``block`` list of the parameters.
        x: the state.
        heads: number of attention heads.
        epsilon: ε of the layer norms.
        rows: rows of the flattened state to return; the whole state by default.
    """
    ops.count_call("layer")
    joint, output = parameters["attention"]["query_key_value"], parameters["attention"]["output"]
    up, down = parameters["mlp"]["up"], parameters["mlp"]["down"]
    first, second = parameters["attention_norm"], parameters["mlp_norm"]
    return ops.post_norm_layer(
        x,
        *(joint["weight"], joint["bias"], output["weight"], output["bias"], first["scale"], first["bias"]),
        *(up["weight"], up["bias"], down["weight"], down["bias"], second["scale"], second["bias"]),
        heads=heads,
        epsilon=epsilon,
        rows=rows,
    )


def adaln_zero_layer(
    tree: Tree, x: Float[Array, "batch tokens width"], *, heads: int, epsilon: float
) -> Float[Array, "batch tokens width"]:
    """Apply f_θ of the diffusion family: attention and MLP, each on a modulated norm and added through a gate.

    Args:
        tree: ``"layer"``, one entry of the ``block`` list of the parameters, and its ``"modulation"``
            [batch, 6, width]: shift, scale, gate of the attention, then of the MLP; the same in every loop.
        x: the state.
        heads: number of attention heads.
        epsilon: ε of the layer norms.
    """
    ops.count_call("layer")
    attention, mlp = tree["layer"]["attention"], tree["layer"]["mlp"]
    joint, output, up, down = attention["query_key_value"], attention["output"], mlp["up"], mlp["down"]
    return ops.adaln_zero_layer(
        x,
        tree["modulation"],
        *(joint["weight"], joint["bias"], output["weight"], output["bias"]),
        *(up["weight"], up["bias"], down["weight"], down["bias"]),
        heads=heads,
        epsilon=epsilon,
    )
