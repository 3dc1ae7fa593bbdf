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

from jaxtyping import Float

from elt_ref.arrays import Array, Tree, check_loops
from elt_ref.config import Experiment
from elt_ref.model.network import Network
from elt_ref.ops import (
    attention,
    count_call,
    gated_residual,
    gelu,
    linear,
    modulated_layer_norm,
    rematerialise,
    residual_layer_norm,
)


def run(
    network: Network, parameters: Tree, config: Experiment, inputs: tuple[Any, ...], *, exits: Sequence[int]
) -> list[Any]:
    """Return the predictions after each number of loops in `exits`: one pass, as long as the longest exit.

    Args:
        network: functions of the family.
        parameters: as from `init_parameters`.
        config: experiment.
        inputs: what ``network.embed`` reads; ``network.check`` has passed them.
        exits: numbers of loops, each ≥ 1, in any order.
    """
    state, layers, head = network.embed(parameters, config.model, *inputs)
    predictions = {}
    for loops, x in enumerate(loop_states(block_of(network, layers, config), state, max(exits)), start=1):
        if loops in exits:
            predictions[loops] = network.head(head, config.model, x)
    return [*map(predictions.__getitem__, exits)]


def loop_states(block: Callable[[Any], Any], x: Any, loops: int) -> Iterator[Any]:
    """E4: yield g(x), g(g(x)), …: the states after 1, 2, …, `loops` loops.

    Args:
        block: g_Θ, from state to state.
        x: the state before the first loop, which is not yielded.
        loops: L ≥ 1; any number, also above the L_max of training.

    Raises:
        RequestError: `loops` is not an integer ≥ 1 (at the first state).
    """
    for _ in range(check_loops(loops)):
        x = block(x)
        yield x


def block_of(network: Network, layers: Sequence[Tree], config: Experiment) -> Callable[[Any], Any]:
    """Return g_Θ as a function of the state alone; rematerialised where the configuration says so."""
    layer = partial(network.layer, heads=config.model.heads, epsilon=config.model.layer_norm_epsilon)
    if not config.training.rematerialise:
        return partial(apply_block, layer, layers)
    block = rematerialise(lambda x, layers: apply_block(layer, layers, x))
    return lambda x: block(x, layers)


def apply_block(layer: Callable[[Tree, Any], Any], layers: Sequence[Tree], x: Any) -> Any:
    """E3: apply the N layers in order.

    Args:
        layer: ``layer(θ_i, x) -> x``.
        layers: θ_1 … θ_N.
        x: the state.
    """
    for tree in layers:
        x = layer(tree, x)
    return x


def post_norm_layer(
    parameters: Tree, x: Float[Array, "batch tokens width"], *, heads: int, epsilon: float
) -> Float[Array, "batch tokens width"]:
    """Apply f_θ of the masked family: attention and MLP, each followed by the norm of its residual sum.

    Args:
        parameters: one entry of the ``block`` list of the parameters.
        x: the state.
        heads: number of attention heads.
        epsilon: ε of the layer norms.
    """
    count_call("layer")
    norm = parameters["attention_norm"]
    attended = attend(parameters["attention"], x, heads)
    x = residual_layer_norm(x, attended, norm["scale"], norm["bias"], epsilon=epsilon)
    norm = parameters["mlp_norm"]
    return residual_layer_norm(x, mlp(parameters["mlp"], x), norm["scale"], norm["bias"], epsilon=epsilon)


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
    count_call("layer")
    parameters, modulation = tree["layer"], tree["modulation"]
    attended = attend(parameters["attention"], modulated_layer_norm(x, modulation, part=0, epsilon=epsilon), heads)
    x = gated_residual(x, attended, modulation, part=2)
    hidden = mlp(parameters["mlp"], modulated_layer_norm(x, modulation, part=3, epsilon=epsilon))
    return gated_residual(x, hidden, modulation, part=5)


def attend(parameters: Tree, x: Float[Array, "batch tokens width"], heads: int) -> Float[Array, "batch tokens width"]:
    """Return multi-head self-attention of x, projected back to its width."""
    query_key_value, output = parameters["query_key_value"], parameters["output"]
    attended = attention(linear(x, query_key_value["weight"], query_key_value["bias"]), heads=heads)
    return linear(attended, output["weight"], output["bias"])


def mlp(parameters: Tree, x: Float[Array, "batch tokens width"]) -> Float[Array, "batch tokens width"]:
    """Return the two-layer MLP of x with the tanh GELU."""
    hidden = gelu(linear(x, parameters["up"]["weight"], parameters["up"]["bias"]))
    return linear(hidden, parameters["down"]["weight"], parameters["down"]["bias"])
