"""Multi-head softmax attention, from the joint query-key-value projection to the joined heads.

    S = Q Kᵀ / √d_head,  P = softmax(S)
    value  O = P V                                    MACs  2 · batch · tokens² · width,  FLOPs  6 · scores
    VJP    V̄ = Pᵀ Ō,  P̄ = Ō Vᵀ,  S̄ = P ∘ (P̄ − Σ P̄ ∘ P),
           Q̄ = S̄ K / √d_head,  K̄ = S̄ᵀ Q / √d_head     MACs  4 · batch · tokens² · width,  FLOPs  5 · scores
with scores = batch · heads · tokens². The paper's GFLOPs contain the MACs of the value.

Scaling is applied to Q, of width d_head, not to the larger score matrix; likewise Σ P̄ ∘ P is computed as Σ Ō ∘ O. Heads
are views of the joint arrays, and the products read and write them in place: nothing is copied.
"""

import math

import numpy as np
from jaxtyping import Float

from elt_ref.arrays import Array
from elt_ref.ops.counter import count_work
from elt_ref.ops.fused import fused
from elt_ref.ops.sums import last_axis_sum

LARGEST_SCORE = 40.0
"""Scores within ± this need no shift: their exps, and sums of them, neither overflow nor vanish in float32."""

_Kept = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _vjp(cotangent: np.ndarray, kept: _Kept, *, heads: int) -> tuple[np.ndarray]:
    scaled_query, key, value, probabilities, output = kept
    batch, _, tokens, head_width = key.shape
    count_work(macs=4 * key.size * tokens, elementwise_flops=5 * probabilities.size)
    output_gradient = cotangent.reshape(output.shape)
    projection = np.einsum("bnhd,bnhd->bhn", output_gradient, output)[..., None]
    output_gradient = output_gradient.swapaxes(1, 2)
    gradient = np.empty((batch, tokens, 3, heads, head_width), cotangent.dtype)
    query_gradient, key_gradient, value_gradient = gradient.transpose(2, 0, 3, 1, 4)
    np.matmul(probabilities.swapaxes(-1, -2), output_gradient, out=value_gradient)
    score_gradient = output_gradient @ value.swapaxes(-1, -2)
    score_gradient -= projection
    score_gradient *= probabilities
    np.matmul(score_gradient.swapaxes(-1, -2), scaled_query, out=key_gradient)
    score_gradient *= 1 / math.sqrt(head_width)
    np.matmul(score_gradient, key, out=query_gradient)
    return (gradient.reshape(batch, tokens, -1),)


def _value(query_key_value: np.ndarray, *, heads: int) -> tuple[np.ndarray, _Kept]:
    batch, tokens, three_widths = query_key_value.shape
    split = query_key_value.reshape(batch, tokens, 3, heads, three_widths // 3 // heads)
    query, key, value = split.transpose(2, 0, 3, 1, 4)
    scaled_query = query * (1 / math.sqrt(query.shape[-1]))
    scores = scaled_query @ key.swapaxes(-1, -2)
    count_work(macs=2 * query.size * tokens, elementwise_flops=6 * scores.size)
    if not -LARGEST_SCORE <= scores.min() <= scores.max() <= LARGEST_SCORE:
        scores -= scores.max(axis=-1, keepdims=True)
    probabilities = np.exp(scores, out=scores)
    probabilities *= 1 / last_axis_sum(probabilities)
    output = np.empty((batch, tokens, heads, query.shape[-1]), query.dtype)
    np.matmul(probabilities, value, out=output.swapaxes(1, 2))
    return output.reshape(batch, tokens, -1), (scaled_query, key, value, probabilities, output)


_attention = fused(_value, _vjp, name="attention")


def attention(
    query_key_value: Float[Array, "batch tokens three_widths"], *, heads: int
) -> Float[Array, "batch tokens width"]:
    """Attend from every token to every token.

    Args:
        query_key_value: the last axis holds query, key and value in that order, each as heads × head width.
        heads: number of heads; divides the width.
    """
    return _attention(query_key_value, heads=heads)
