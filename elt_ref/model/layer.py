"""f_θ: one transformer layer. The masked family's is the post-LN BERT layer of MaskGIT, the diffusion family's DiT's.

    post-LN       a = LN(x + Attn(x)),                     y = LN(a + MLP(a))
    adaLN-Zero    a = x + g₁ Attn(x̂ (1 + s₁) + b₁),        y = a + g₂ MLP(â (1 + s₂) + b₂)

with x̂, â normalised without scale and bias, and the chunks b₁, s₁, g₁, b₂, s₂, g₂ of the modulation in this order.
In both every linear map has a bias, the GELU is the tanh form, and scores are scaled by 1/√d_head.

Source: maskgit/nets/maskgit_transformer.py, DiT's models.py.
"""

from jaxtyping import Float

from elt_ref.arrays import Array, Tree
from elt_ref.ops import (
    attention,
    count_call,
    gated_residual,
    gelu,
    linear,
    modulated_layer_norm,
    residual_layer_norm,
)


def post_norm_layer(
    parameters: Tree, x: Float[Array, "batch tokens width"], *, heads: int, epsilon: float
) -> Float[Array, "batch tokens width"]:
    """Apply f_θ: attention and MLP, each followed by the normalisation of its residual sum.

    Args:
        parameters: one entry of the ``block`` list of the parameters.
        x: the state.
        heads: number of attention heads.
        epsilon: of the layer normalisations.
    """
    count_call("layer")
    norm = parameters["attention_norm"]
    attended = _attend(parameters["attention"], x, heads)
    x = residual_layer_norm(x, attended, norm["scale"], norm["bias"], epsilon=epsilon)
    norm = parameters["mlp_norm"]
    return residual_layer_norm(x, _mlp(parameters["mlp"], x), norm["scale"], norm["bias"], epsilon=epsilon)


def adaln_zero_layer(
    parameters: Tree,
    x: Float[Array, "batch tokens width"],
    modulation: Float[Array, "batch six width"],
    *,
    heads: int,
    epsilon: float,
) -> Float[Array, "batch tokens width"]:
    """Apply f_θ of DiT: attention and MLP, each on a modulated norm and added through a gate.

    Args:
        parameters: one entry of the ``block`` list of the parameters.
        x: the state.
        modulation: what the layer's own weights make of the conditioning: shift, scale, gate of the attention, then of
            the MLP. It is the same in every loop.
        heads: number of attention heads.
        epsilon: of the layer normalisations.
    """
    count_call("layer")
    attended = _attend(parameters["attention"], modulated_layer_norm(x, modulation, part=0, epsilon=epsilon), heads)
    x = gated_residual(x, attended, modulation, part=2)
    hidden = _mlp(parameters["mlp"], modulated_layer_norm(x, modulation, part=3, epsilon=epsilon))
    return gated_residual(x, hidden, modulation, part=5)


def _attend(parameters: Tree, x: Float[Array, "batch tokens width"], heads: int) -> Float[Array, "batch tokens width"]:
    query_key_value, output = parameters["query_key_value"], parameters["output"]
    attended = attention(linear(x, query_key_value["weight"], query_key_value["bias"]), heads=heads)
    return linear(attended, output["weight"], output["bias"])


def _mlp(parameters: Tree, x: Float[Array, "batch tokens width"]) -> Float[Array, "batch tokens width"]:
    hidden = gelu(linear(x, parameters["up"]["weight"], parameters["up"]["bias"]))
    return linear(hidden, parameters["down"]["weight"], parameters["down"]["bias"])
