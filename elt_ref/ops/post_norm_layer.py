"""A layer of the masked family as one op: attention and MLP, each followed by the norm of its residual sum.

    a = LN(x + Attn(x) W + b),  y = LN(a + GELU(a U + c) D + e)

One op, because an op costs Python and autograd ten microseconds or more, and because inside of it every sum goes
into an array that is there already. FLOPs and MACs are the sums over its parts: `attention`, `linear`, `gelu`,
`layer_norm`; a residual sum is one FLOP an element.

A layer whose output is needed at some rows only computes those: their queries, output map, MLP and norms. Keys and
values come from every token.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from elt_ref.arrays import Array
from elt_ref.ops.attention import AttentionKept, attention_value, attention_vjp
from elt_ref.ops.counter import count_passes, count_work
from elt_ref.ops.fused import fused
from elt_ref.ops.gelu import GeluKept, gelu_value, gelu_vjp
from elt_ref.ops.layer_norm import NormKept, norm_value, norm_vjp
from elt_ref.ops.linear import as_rows, rows_times, rows_times_vjp
from elt_ref.ops.samples import by_samples


class _Kept(NamedTuple):
    attention: AttentionKept
    joined: np.ndarray
    output_weight: np.ndarray
    first_norm: NormKept
    middle: np.ndarray
    up_weight: np.ndarray
    gelu: GeluKept
    down_weight: np.ndarray
    second_norm: NormKept


def _value(
    x: np.ndarray,
    joint_weight: np.ndarray,
    joint_bias: np.ndarray,
    output_weight: np.ndarray,
    output_bias: np.ndarray,
    first_scale: np.ndarray,
    first_bias: np.ndarray,
    up_weight: np.ndarray,
    up_bias: np.ndarray,
    down_weight: np.ndarray,
    down_bias: np.ndarray,
    second_scale: np.ndarray,
    second_bias: np.ndarray,
    *,
    heads: int,
    epsilon: float,
    rows: np.ndarray | None,
) -> tuple[np.ndarray, _Kept]:
    joined, attention = attention_value(x, joint_weight, joint_bias, heads=heads, rows=rows)
    total = rows_times(joined, output_weight, output_bias)
    total += as_rows(x) if rows is None else as_rows(x)[rows]
    middle, first_norm = norm_value(total, first_scale, first_bias, epsilon=epsilon)
    activated, gelu = gelu_value(rows_times(middle, up_weight, up_bias))
    total = rows_times(activated, down_weight, down_bias)
    total += middle
    output, second_norm = norm_value(total, second_scale, second_bias, epsilon=epsilon)
    count_work(elementwise_flops=2 * output.size)
    count_passes(output.size, arithmetic=2)
    kept = _Kept(attention, joined, output_weight, first_norm, middle, up_weight, gelu, down_weight, second_norm)
    return output.reshape(x.shape) if rows is None else output, kept


def _vjp(
    cotangent: np.ndarray, kept: _Kept, *, heads: int, epsilon: float, rows: np.ndarray | None
) -> tuple[np.ndarray, ...]:
    del heads, epsilon, rows  # settings of the value
    count_passes(cotangent.size, arithmetic=2)
    residual, *second_norm = norm_vjp(as_rows(cotangent), kept.second_norm)
    gradient, *down = rows_times_vjp(residual, kept.gelu.output, kept.down_weight)
    (gradient,) = gelu_vjp(gradient, kept.gelu)
    gradient, *up = rows_times_vjp(gradient, kept.middle, kept.up_weight)
    gradient += residual
    residual, *first_norm = norm_vjp(gradient, kept.first_norm)
    gradient, *output = rows_times_vjp(residual, kept.joined, kept.output_weight)
    gradient, *joint = attention_vjp(gradient, kept.attention)
    if kept.attention.rows is None:
        gradient += residual
    else:
        gradient[kept.attention.rows] += residual
    x = gradient.reshape(kept.attention.state.shape)
    return x, *joint, *output, *first_norm, *up, *down, *second_norm


_post_norm_layer = fused(*by_samples(_value, _vjp, batched=1), name="post_norm_layer")


def post_norm_layer(
    x: Float[Array, "batch tokens width"],
    *parameters: Float[Array, "..."],
    heads: int,
    epsilon: float,
    rows: Int[np.ndarray, " rows"] | None = None,
) -> Float[Array, "batch tokens width"] | Float[Array, "rows width"]:
    """Apply the layer to the state.

    Args:
        x: the state.
        parameters: weight and bias of query, key and value joined [width, 3 · width], of the output; scale and bias of
            the first norm; weight and bias of the MLP's way up and down; scale and bias of the second norm.
        heads: number of attention heads; divides the width.
        epsilon: ε of the norms.
        rows: rows of the flattened state to return, ascending; the whole state if None.
    """
    return _post_norm_layer(x, *parameters, heads=heads, epsilon=epsilon, rows=rows)
