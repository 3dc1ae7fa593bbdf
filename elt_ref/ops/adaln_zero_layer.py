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
from elt_ref.ops.fused import fused
from elt_ref.ops.gelu import GeluKept, gelu_value, gelu_vjp
from elt_ref.ops.linear import as_rows, rows_times, rows_times_vjp
from elt_ref.ops.modulation import ModulatedKept, gated, gated_vjp, modulated_value, modulated_vjp
from elt_ref.ops.samples import by_samples

SHIFT, GATE, MLP = 0, 2, 3
"""Chunks of a modulation: shift, scale, gate of the attention; from `MLP` on the same of the MLP."""


class _Kept(NamedTuple):
    modulation: np.ndarray
    first_norm: ModulatedKept
    attention: AttentionKept
    joined: np.ndarray
    output_weight: np.ndarray
    attended: np.ndarray
    second_norm: ModulatedKept
    normed: np.ndarray
    up_weight: np.ndarray
    gelu: GeluKept
    down_weight: np.ndarray
    update: np.ndarray


def _value(
    x: np.ndarray,
    modulation: np.ndarray,
    joint_weight: np.ndarray,
    joint_bias: np.ndarray,
    output_weight: np.ndarray,
    output_bias: np.ndarray,
    up_weight: np.ndarray,
    up_bias: np.ndarray,
    down_weight: np.ndarray,
    down_bias: np.ndarray,
    *,
    heads: int,
    epsilon: float,
) -> tuple[np.ndarray, _Kept]:
    normed, first_norm = modulated_value(x, modulation, part=SHIFT, epsilon=epsilon)
    joined, attention = attention_value(normed, joint_weight, joint_bias, heads=heads)
    attended = rows_times(joined, output_weight, output_bias).reshape(x.shape)
    x = gated(x, attended, modulation, part=GATE)
    normed, second_norm = modulated_value(x, modulation, part=MLP + SHIFT, epsilon=epsilon)
    normed = as_rows(normed)
    activated, gelu = gelu_value(rows_times(normed, up_weight, up_bias))
    update = rows_times(activated, down_weight, down_bias).reshape(x.shape)
    output = gated(x, update, modulation, part=MLP + GATE)
    first = (modulation, first_norm, attention, joined, output_weight, attended)
    return output, _Kept(*first, second_norm, normed, up_weight, gelu, down_weight, update)


def _vjp(cotangent: np.ndarray, kept: _Kept, *, heads: int, epsilon: float) -> tuple[np.ndarray, ...]:
    del heads, epsilon  # settings of the value
    count_passes(cotangent.size, arithmetic=2)
    modulation, shape = kept.modulation, cotangent.shape
    modulation_gradient = np.empty_like(modulation)
    gradient = gated_vjp(cotangent, kept.update, modulation, modulation_gradient, part=MLP + GATE)
    gradient, *down = rows_times_vjp(as_rows(gradient), kept.gelu.output, kept.down_weight)
    (gradient,) = gelu_vjp(gradient, kept.gelu)
    gradient, *up = rows_times_vjp(gradient, kept.normed, kept.up_weight)
    residual = modulated_vjp(gradient.reshape(shape), kept.second_norm, modulation_gradient, part=MLP + SHIFT)
    residual += cotangent
    gradient = gated_vjp(residual, kept.attended, modulation, modulation_gradient, part=GATE)
    gradient, *output = rows_times_vjp(as_rows(gradient), kept.joined, kept.output_weight)
    gradient, *joint = attention_vjp(gradient, kept.attention)
    x = modulated_vjp(gradient.reshape(shape), kept.first_norm, modulation_gradient, part=SHIFT)
    x += residual
    return x, modulation_gradient, *joint, *output, *up, *down


_adaln_zero_layer = fused(*by_samples(_value, _vjp, batched=2), name="adaln_zero_layer")


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
