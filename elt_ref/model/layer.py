"""f_θ: one transformer layer. The masked family's is the post-LN BERT layer of MaskGIT.

Source: maskgit/nets/maskgit_transformer.py (facts §2a): ``a = LN(Attn(x) + x)``, ``y = LN(MLP(a) + a)``; every linear
map has a bias; tanh-GELU; scale 1/√d_head.
"""

from jaxtyping import Float

from elt_ref.arrays import Array, Tree
from elt_ref.ops import attention, count_call, gelu, linear, residual_layer_norm


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
    query_key_value, output = parameters["attention"]["query_key_value"], parameters["attention"]["output"]
    attended = attention(linear(x, query_key_value["weight"], query_key_value["bias"]), heads=heads)
    attended = linear(attended, output["weight"], output["bias"])
    norm = parameters["attention_norm"]
    x = residual_layer_norm(x, attended, norm["scale"], norm["bias"], epsilon=epsilon)

    up, down = parameters["mlp"]["up"], parameters["mlp"]["down"]
    hidden = gelu(linear(x, up["weight"], up["bias"]))
    hidden = linear(hidden, down["weight"], down["bias"])
    norm = parameters["mlp_norm"]
    return residual_layer_norm(x, hidden, norm["scale"], norm["bias"], epsilon=epsilon)
