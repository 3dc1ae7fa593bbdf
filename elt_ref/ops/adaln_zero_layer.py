"""A layer of the diffusion family as one op: attention and MLP, each on a modulated norm and added through a gate.

    a = x + g₁ (Attn(x̂ (1 + s₁) + b₁) W + b),  y = a + g₂ (GELU((â (1 + s₂) + b₂) U + c) D + e)

One op for the reasons of `post_norm_layer`. FLOPs and MACs are the sums over its parts: `attention`, `linear`, `gelu`,
and the modulated norm and the gate of `modulation`.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from elt_ref.arrays import Array
from elt_ref.ops.attention import AttentionKept, attention_value, attention_vjp
from elt_ref.ops.counter import count_passes
from elt_ref.ops.gelu import GeluKept, gelu_value, gelu_vjp
from elt_ref.ops.linear import as_rows, rows_times, rows_times_vjp
from elt_ref.ops.modulation import ModulatedKept, gated, gated_vjp, modulated_value, modulated_vjp
from elt_ref.ops.samples import by_samples

SHIFT, GATE, MLP = 0, 2, 3
"""Chunks of a modulation: shift, scale, gate of the attention; from `MLP` on the same of the MLP."""


class _AttentionKept(NamedTuple):
    norm: ModulatedKept
    attention: AttentionKept
    joined: np.ndarray
    output_weight: np.ndarray
    attended: np.ndarray


class _MlpKept(NamedTuple):
    norm: ModulatedKept
    normed: np.ndarray
    up_weight: np.ndarray
    gelu: GeluKept
    down_weight: np.ndarray
    update: np.ndarray


_Kept = tuple[np.ndarray, _AttentionKept, _MlpKept]
"""Modulation, and what each half keeps."""


def _value(
    x: np.ndarray, modulation: np.ndarray, *parameters: np.ndarray, heads: int, epsilon: float, keep: bool
) -> tuple[np.ndarray, _Kept | None]:
    of_attention, of_mlp = parameters[:4], parameters[4:]
    x, first = _attention_half(x, modulation, *of_attention, heads=heads, epsilon=epsilon)
    if not keep:
        first = None  # frees what the attention kept before the MLP begins
    x, second = _mlp_half(x, modulation, *of_mlp, epsilon=epsilon, keep=keep)
    return x, (modulation, first, second) if first is not None and second is not None else None


def _attention_half(
    x: np.ndarray,
    modulation: np.ndarray,
    joint_weight: np.ndarray,
    joint_bias: np.ndarray,
    output_weight: np.ndarray,
    output_bias: np.ndarray,
    *,
    heads: int,
    epsilon: float,
) -> tuple[np.ndarray, _AttentionKept | None]:
    normed, norm = modulated_value(x, modulation, part=SHIFT, epsilon=epsilon)
    joined, attention = attention_value(normed, joint_weight, joint_bias, heads=heads)
    attended = rows_times(joined, output_weight, output_bias).reshape(x.shape)
    kept = _AttentionKept(norm, attention, joined, output_weight, attended)
    return gated(x, attended, modulation, part=GATE), kept


def _mlp_half(
    x: np.ndarray,
    modulation: np.ndarray,
    up_weight: np.ndarray,
    up_bias: np.ndarray,
    down_weight: np.ndarray,
    down_bias: np.ndarray,
    *,
    epsilon: float,
    keep: bool,
) -> tuple[np.ndarray, _MlpKept | None]:
    normed, norm = modulated_value(x, modulation, part=MLP + SHIFT, epsilon=epsilon)
    normed = as_rows(normed)
    activated, gelu = gelu_value(rows_times(normed, up_weight, up_bias), keep=keep)
    update = rows_times(activated, down_weight, down_bias).reshape(x.shape)
    kept = None if gelu is None else _MlpKept(norm, normed, up_weight, gelu, down_weight, update)
    return gated(x, update, modulation, part=MLP + GATE), kept


def _vjp(cotangent: np.ndarray, kept: _Kept, *, heads: int, epsilon: float) -> tuple[np.ndarray, ...]:
    del heads, epsilon  # settings of the value
    modulation, first, second = kept
    count_passes(cotangent.size, arithmetic=2)
    shape, modulation_gradient = cotangent.shape, np.empty_like(modulation)
    gradient = gated_vjp(cotangent, second.update, modulation, modulation_gradient, part=MLP + GATE)
    gradient, *down = rows_times_vjp(as_rows(gradient), second.gelu.output, second.down_weight)
    (gradient,) = gelu_vjp(gradient, second.gelu)
    gradient, *up = rows_times_vjp(gradient, second.normed, second.up_weight)
    residual = modulated_vjp(gradient.reshape(shape), second.norm, modulation_gradient, part=MLP + SHIFT)
    residual += cotangent
    gradient = gated_vjp(residual, first.attended, modulation, modulation_gradient, part=GATE)
    gradient, *output = rows_times_vjp(as_rows(gradient), first.joined, first.output_weight)
    gradient, *joint = attention_vjp(gradient, first.attention)
    x = modulated_vjp(gradient.reshape(shape), first.norm, modulation_gradient, part=SHIFT)
    x += residual
    return x, modulation_gradient, *joint, *output, *up, *down


_adaln_zero_layer = by_samples(_value, _vjp, batched=2, name="adaln_zero_layer")


def adaln_zero_layer(
    x: Float[Array, "batch tokens width"],
    modulation: Float[Array, "batch 6 width"],
    *parameters: Float[Array, "..."],
    heads: int,
    epsilon: float,
) -> Float[Array, "batch tokens width"]:
    """Apply the layer to the state.

    Args:
        x: the state.
        modulation: shift, scale, gate of the attention, then of the MLP.
        parameters: weight and bias of query, key and value joined [width, 3 · width], of the output, of the MLP's way
            up and down.
        heads: number of attention heads; divides the width.
        epsilon: ε of the norms.

    Source: DiT.
    """
    return _adaln_zero_layer(x, modulation, *parameters, heads=heads, epsilon=epsilon)
