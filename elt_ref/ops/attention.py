"""Multi-head softmax attention, from the state to the joined heads: the first half of a layer.

    Q, K, V = the thirds of x W + b,  S = Q Kᵀ / √d_head,  P = softmax(S)
    value  O = P V                    MACs  3 · rows · width² + 2 · batch · queries · tokens · width
                                      other FLOPs  3 · rows · width + 6 · scores
    VJP    V̄ = Pᵀ Ō,  P̄ = Ō Vᵀ,  S̄ = P ∘ (P̄ − Σ P̄ ∘ P),  Q̄ = S̄ K / √d_head,  K̄ = S̄ᵀ Q / √d_head
                                      MACs twice as many,  other FLOPs  3 · rows · width + 5 · scores
with rows = batch · tokens and scores = batch · heads · queries · tokens. The paper's GFLOPs contain the value's MACs.

Two passes over the score matrix are made over narrower arrays: O and Ō are divided by the sums of exps, and Σ P̄ ∘ P is
computed as Σ Ō ∘ O. The scores are scaled and not Q, though there may be more of them: they lie in one piece. Heads are
views of the joint arrays, and the products read and write them in place: nothing is copied.

A layer whose state is needed at some positions only makes queries of those rows alone. Samples differ in how many they
have, and a product needs as many for each: so the queries are spread over a padded array, where zeros fill the gaps.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from elt_ref.ops.counter import count_passes, count_work
from elt_ref.ops.linear import as_rows, rows_times, rows_times_vjp
from elt_ref.ops.sums import last_axis_sum

SMALLEST_SUM, LARGEST_SUM = 1e-15, 1e15
"""If the sums of exps lie within these, the scores need no shift: no exp has overflowed, and in float32 only such have
vanished, or lost bits, as do not count beside their sum."""

Queries = Float[np.ndarray, "batch heads queries head_width"]
Heads = Float[np.ndarray, "batch heads tokens head_width"]


class Attended(NamedTuple):
    """What the way back of Q, K and V to the joined heads needs."""

    query: Queries
    key: Heads
    value: Heads
    exps: Float[np.ndarray, "batch heads queries tokens"]
    """P times the sums of its rows."""
    inverse_sums: Float[np.ndarray, "batch heads queries 1"]
    output: Float[np.ndarray, "batch queries heads head_width"]


class AttentionKept(NamedTuple):
    """What the way back of the state to the joined heads needs."""

    state: Float[np.ndarray, "batch tokens width"]
    weight: Float[np.ndarray, "width three_widths"]
    attended: Attended
    rows: Int[np.ndarray, " rows"] | None
    places: Int[np.ndarray, " rows"] | None


def attention_value(
    x: Float[np.ndarray, "batch tokens width"],
    weight: Float[np.ndarray, "width three_widths"],
    bias: Float[np.ndarray, " three_widths"],
    *,
    heads: int,
    rows: Int[np.ndarray, " rows"] | None = None,
) -> tuple[Float[np.ndarray, "rows width"], AttentionKept]:
    """Attend to every token, from every token or from some.

    Args:
        x: the state.
        weight: query, key and value in that order, each as heads × head width.
        bias: likewise.
        heads: number of heads; divides the width.
        rows: rows of the flattened state that attend, ascending; all if None.

    Returns:
        The joined heads of the rows, and what the way back needs.
    """
    batch, tokens, width = x.shape
    head_width = width // heads
    if rows is None:
        joint = rows_times(as_rows(x), weight, bias).reshape(batch, tokens, 3, heads, head_width)
        query, key, value = joint.transpose(2, 0, 3, 1, 4)
        places = None
    else:
        joint = rows_times(as_rows(x), weight[:, width:], bias[width:]).reshape(batch, tokens, 2, heads, head_width)
        key, value = joint.transpose(2, 0, 3, 1, 4)
        places, most = padded(rows, batch, tokens)
        queries = spread(rows_times(as_rows(x)[rows], weight[:, :width], bias[:width]), places, batch * most)
        query = queries.reshape(batch, most, heads, head_width).swapaxes(1, 2)
    attended = attend(query, key, value)
    joined = attended.output.reshape(-1, width)
    return joined if places is None else joined[places], AttentionKept(x, weight, attended, rows, places)


def attention_vjp(
    cotangent: Float[np.ndarray, "rows width"], kept: AttentionKept
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients of x (as rows), weight and bias."""
    x, weight, attended, rows, places = kept
    batch, tokens, width = x.shape
    queries, heads, head_width = attended.output.shape[1:]
    flat = as_rows(x)
    if places is not None:
        cotangent = spread(cotangent, places, batch * queries)
    cotangent = cotangent.reshape(attended.output.shape)
    if rows is None:
        joint = np.empty((batch, tokens, 3, heads, head_width), cotangent.dtype)
        attend_vjp(cotangent, attended, *joint.transpose(2, 0, 3, 1, 4))
        return rows_times_vjp(joint.reshape(len(flat), -1), flat, weight)
    joint = np.empty((batch, tokens, 2, heads, head_width), cotangent.dtype)
    query = np.empty_like(cotangent)
    attend_vjp(cotangent, attended, query.swapaxes(1, 2), *joint.transpose(2, 0, 3, 1, 4))
    gradient, key_value_weight, key_value_bias = rows_times_vjp(joint.reshape(len(flat), -1), flat, weight[:, width:])
    chosen = query.reshape(-1, width)[places]
    row_gradient, query_weight, query_bias = rows_times_vjp(chosen, flat[rows], weight[:, :width])
    gradient[rows] += row_gradient
    return (
        gradient,
        np.concatenate([query_weight, key_value_weight], axis=1),
        np.concatenate([query_bias, key_value_bias]),
    )


def attend(query: Queries, key: Heads, value: Heads) -> Attended:
    """Return the output of attention with its intermediate results."""
    factor = 1 / math.sqrt(key.shape[-1])
    key_columns = transposed(key)
    exps = query @ key_columns
    exps *= factor
    count_work(macs=2 * exps.size * key.shape[-1], elementwise_flops=6 * exps.size)
    count_passes(exps.size, arithmetic=2, exp=1)  # a scale, a sum
    count_passes(query.size, arithmetic=1)  # division of the output by the sums
    with np.errstate(over="ignore"):  # where an exp or a sum overflows, the scores are shifted
        sums = last_axis_sum(np.exp(exps, out=exps))
    if not SMALLEST_SUM <= sums.min() <= sums.max() <= LARGEST_SUM:
        np.matmul(query, key_columns, out=exps)
        exps *= factor
        exps -= exps.max(axis=-1, keepdims=True)
        sums = last_axis_sum(np.exp(exps, out=exps))
    inverse_sums = 1 / sums
    batch, heads, queries, head_width = query.shape
    output = np.empty((batch, queries, heads, head_width), query.dtype)
    np.matmul(exps, value, out=output.swapaxes(1, 2))
    output *= inverse_sums.swapaxes(1, 2)  # in the order of the output, which is quicker than in the heads'
    return Attended(query, key, value, exps, inverse_sums, output)


def attend_vjp(
    cotangent: Float[np.ndarray, "batch queries heads head_width"],
    kept: Attended,
    query_gradient: Queries,
    key_gradient: Heads,
    value_gradient: Heads,
) -> None:
    """Write the gradients of query, key and value."""
    query, key, value, exps, inverse_sums, output = kept
    count_work(macs=4 * exps.size * key.shape[-1], elementwise_flops=5 * exps.size)
    count_passes(exps.size, arithmetic=3)
    count_passes(query.size, arithmetic=2)
    projection = np.einsum("bnhd,bnhd->bhn", cotangent, output)[..., None] * inverse_sums
    scaled = (cotangent * inverse_sums.swapaxes(1, 2)).swapaxes(1, 2)
    np.matmul(exps.swapaxes(-1, -2), scaled, out=value_gradient)
    score_gradient = scaled @ transposed(value)
    score_gradient -= projection
    score_gradient *= exps
    score_gradient *= 1 / math.sqrt(key.shape[-1])
    np.matmul(score_gradient.swapaxes(-1, -2), query, out=key_gradient)
    np.matmul(score_gradient, key, out=query_gradient)


def transposed(heads: Heads) -> Float[np.ndarray, "batch heads head_width tokens"]:
    """Return a transposed copy. Small products with it take half the time of products with a transposed view."""
    return np.ascontiguousarray(heads.swapaxes(-1, -2))


def padded(rows: Int[np.ndarray, " rows"], batch: int, tokens: int) -> tuple[Int[np.ndarray, " rows"], int]:
    """Return each row's place in a padded array, and how many places a sample has there: the most rows of any."""
    samples = rows // tokens
    counts = np.bincount(samples, minlength=batch)
    most = max(1, int(counts.max()))
    before = np.cumsum(counts) - counts
    return samples * most + np.arange(len(rows)) - before[samples], most


def spread(
    rows: Float[np.ndarray, "rows width"], places: Int[np.ndarray, " rows"], size: int
) -> Float[np.ndarray, "size width"]:
    """Return an array of `size` rows that has these rows at their places, and zeros elsewhere."""
    if len(rows) == size:  # as many rows for each sample: nothing to pad
        return rows
    whole = np.zeros((size, rows.shape[1]), rows.dtype)
    whole[places] = rows
    return whole
