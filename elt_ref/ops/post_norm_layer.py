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
from elt_ref.ops.gelu import GeluKept, gelu_value, gelu_vjp
from elt_ref.ops.layer_norm import NormKept, norm_value, norm_vjp
from elt_ref.ops.linear import as_rows, rows_times, rows_times_vjp
from elt_ref.ops.samples import by_samples


class _AttentionKept(NamedTuple):
    attention: AttentionKept
    joined: np.ndarray
    output_weight: np.ndarray
    norm: NormKept


class _MlpKept(NamedTuple):
    middle: np.ndarray
    up_weight: np.ndarray
    gelu: GeluKept
    down_weight: np.ndarray
    norm: NormKept


def _value(
    x: np.ndarray,
    *parameters: np.ndarray,
    heads: int,
    epsilon: float,
    rows: np.ndarray | None,
    keep: bool,
) -> tuple[np.ndarray, tuple[_AttentionKept, _MlpKept] | None]:
    of_attention, of_mlp = parameters[:6], parameters[6:]
    middle, first = _attention_half(x, *of_attention, heads=heads, epsilon=epsilon, rows=rows)
    if not keep:
        first = None  # frees what the attention kept before the MLP begins
    output, second = _mlp_half(middle, *of_mlp, epsilon=epsilon, keep=keep)
    kept = (first, second) if first is not None and second is not None else None
    return output.reshape(x.shape) if rows is None else output, kept


def _attention_half(
    x: np.ndarray,
    joint_weight: np.ndarray,
    joint_bias: np.ndarray,
    output_weight: np.ndarray,
    output_bias: np.ndarray,
    scale: np.ndarray,
    bias: np.ndarray,
    *,
    heads: int,
    epsilon: float,
    rows: np.ndarray | None,
) -> tuple[np.ndarray, _AttentionKept | None]:
    joined, attention = attention_value(x, joint_weight, joint_bias, heads=heads, rows=rows)
    total = rows_times(joined, output_weight, output_bias)
    total += as_rows(x) if rows is None else as_rows(x)[rows]
    _count_residual(total)
    middle, norm = norm_value(total, scale, bias, epsilon=epsilon)
    return middle, _AttentionKept(attention, joined, output_weight, norm)


def _mlp_half(
    middle: np.ndarray,
    up_weight: np.ndarray,
    up_bias: np.ndarray,
    down_weight: np.ndarray,
    down_bias: np.ndarray,
    scale: np.ndarray,
    bias: np.ndarray,
    *,
    epsilon: float,
    keep: bool,
) -> tuple[np.ndarray, _MlpKept | None]:
    activated, gelu = gelu_value(rows_times(middle, up_weight, up_bias), keep=keep)
    total = rows_times(activated, down_weight, down_bias)
    total += middle
    _count_residual(total)
    output, norm = norm_value(total, scale, bias, epsilon=epsilon)
    return output, None if gelu is None else _MlpKept(middle, up_weight, gelu, down_weight, norm)


def _count_residual(total: np.ndarray) -> None:
    count_work(elementwise_flops=total.size)
    count_passes(total.size, arithmetic=1)


def _vjp(
    cotangent: np.ndarray,
    kept: tuple[_AttentionKept, _MlpKept],
    *,
    heads: int,
    epsilon: float,
    rows: np.ndarray | None,
) -> tuple[np.ndarray, ...]:
    del heads, epsilon, rows  # settings of the value
    first, second = kept
    count_passes(cotangent.size, arithmetic=2)
    residual, *second_norm = norm_vjp(as_rows(cotangent), second.norm)
    gradient, *down = rows_times_vjp(residual, second.gelu.output, second.down_weight)
    (gradient,) = gelu_vjp(gradient, second.gelu)
    gradient, *up = rows_times_vjp(gradient, second.middle, second.up_weight)
    gradient += residual
    residual, *first_norm = norm_vjp(gradient, first.norm)
    gradient, *output = rows_times_vjp(residual, first.joined, first.output_weight)
    gradient, *joint = attention_vjp(gradient, first.attention)
    if first.attention.rows is None:
        gradient += residual
    else:
        gradient[first.attention.rows] += residual
    x = gradient.reshape(first.attention.state.shape)
    return x, *joint, *output, *first_norm, *up, *down, *second_norm


_post_norm_layer = by_samples(_value, _vjp, batched=1, name="post_norm_layer")


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
