"""Multi-head softmax attention, from the joint query-key-value projection to the joined heads.

    S = Q Kᵀ / √d_head,  P = softmax(S)
    value  O = P V                                    MACs  2 · batch · tokens² · width,  FLOPs  6 · scores
    VJP    V̄ = Pᵀ Ō,  P̄ = Ō Vᵀ,  S̄ = P ∘ (P̄ − Σ P̄ ∘ P),
           Q̄ = S̄ K / √d_head,  K̄ = S̄ᵀ Q / √d_head     MACs  4 · batch · tokens² · width,  FLOPs  5 · scores
with scores = batch · heads · tokens². The paper's GFLOPs contain the MACs of the value.
"""

import math

import numpy as np
from jaxtyping import Float

from elt_ref.arrays import Array
from elt_ref.ops.counter import count_work
from elt_ref.ops.fused import fused

_Kept = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _vjp(cotangent: np.ndarray, kept: _Kept, *, heads: int) -> tuple[np.ndarray]:
    query, key, value, probabilities = kept
    batch, _, tokens, head_width = query.shape
    count_work(macs=4 * query.size * tokens, elementwise_flops=5 * probabilities.size)
    output_gradient = np.ascontiguousarray(cotangent.reshape(batch, tokens, heads, head_width).swapaxes(1, 2))
    gradient = np.empty((3, *query.shape), cotangent.dtype)
    np.matmul(probabilities.swapaxes(-1, -2), output_gradient, out=gradient[2])
    score_gradient = output_gradient @ value.swapaxes(-1, -2)
    score_gradient -= np.einsum("bhnm,bhnm->bhn", score_gradient, probabilities)[..., None]
    score_gradient *= probabilities
    score_gradient *= 1 / math.sqrt(head_width)
    np.matmul(score_gradient, key, out=gradient[0])
    np.matmul(score_gradient.swapaxes(-1, -2), query, out=gradient[1])
    return (gradient.transpose(1, 3, 0, 2, 4).reshape(batch, tokens, -1),)


def _value(query_key_value: np.ndarray, *, heads: int) -> tuple[np.ndarray, _Kept]:
    batch, tokens, three_widths = query_key_value.shape
    split = query_key_value.reshape(batch, tokens, 3, heads, three_widths // 3 // heads)
    query, key, value = np.ascontiguousarray(split.transpose(2, 0, 3, 1, 4))
    scores = query @ key.swapaxes(-1, -2)
    count_work(macs=2 * query.size * tokens, elementwise_flops=6 * scores.size)
    scores *= 1 / math.sqrt(query.shape[-1])
    scores -= scores.max(axis=-1, keepdims=True)
    probabilities = np.exp(scores, out=scores)
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    output = (probabilities @ value).swapaxes(1, 2).reshape(batch, tokens, -1)
    return output, (query, key, value, probabilities)


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
