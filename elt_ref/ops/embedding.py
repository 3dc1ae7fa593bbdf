"""Embedding: rows of a table by id, and the tied way back from a state to logits over rows.

    embedding    value  y = E[ids]                  free
                 VJP    Ē[r] = Σ_{ids = r} ȳ         FLOPs  size
    unembedding  value  y = x E[:n]ᵀ + b            MACs      rows · width · n,  other FLOPs  rows · n
                 VJP    x̄ = ȳ E[:n],  Ē[:n] = ȳᵀ x,  b̄ = Σ ȳ
                                                    MACs  2 · rows · width · n,  other FLOPs  rows · n

Gathering rows and adding up rows are adjoint to each other, so `embedding` can be differentiated any number of times.
"""

import numpy as np
from autograd.extend import defvjp, primitive
from jaxtyping import Float, Int

from elt_ref.arrays import Array
from elt_ref.ops.counter import count_passes, count_work
from elt_ref.ops.fused import fused
from elt_ref.ops.linear import as_rows
from elt_ref.ops.sums import sum_of_rows


@primitive
def embedding(table: Float[Array, "rows width"], ids: Int[Array, "*batch"]) -> Float[Array, "*batch width"]:
    """Return ``table[ids]``. Ids must lie in 0 … rows − 1. Can be differentiated any number of times."""
    return table[ids]


@primitive
def scatter_rows(
    updates: Float[Array, "*batch width"], ids: Int[Array, "*batch"], *, rows: int
) -> Float[Array, "rows width"]:
    """Return the table whose row r is the sum of the updates with id r: the adjoint of `embedding`."""
    count_work(elementwise_flops=updates.size)
    count_passes(updates.size, arithmetic=1)
    order = np.argsort(ids, axis=None, kind="stable")
    sorted_ids = ids.reshape(-1)[order]
    starts = np.flatnonzero(np.diff(sorted_ids, prepend=-1))
    table = np.zeros((rows, updates.shape[-1]), updates.dtype)
    table[sorted_ids[starts]] = np.add.reduceat(as_rows(updates)[order], starts, axis=0)
    return table


defvjp(embedding, lambda _y, table, ids: lambda cotangent: scatter_rows(cotangent, ids, rows=len(table)), argnums=(0,))
defvjp(scatter_rows, lambda _y, _updates, ids, *, rows: lambda cotangent: embedding(cotangent, ids), argnums=(0,))  # noqa: ARG005  autograd passes settings by name


def _unembedding_vjp(cotangent: np.ndarray, kept: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, ...]:
    x, table = kept
    cotangent_rows = as_rows(cotangent)
    outputs = cotangent_rows.shape[1]
    count_work(macs=2 * x.size * outputs, elementwise_flops=cotangent.size)
    count_passes(cotangent.size, arithmetic=1)
    table_gradient = np.zeros_like(table)
    np.matmul(cotangent_rows.T, as_rows(x), out=table_gradient[:outputs])
    return (cotangent_rows @ table[:outputs]).reshape(x.shape), table_gradient, sum_of_rows(cotangent_rows)


def _unembedding_value(
    x: np.ndarray, table: np.ndarray, bias: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    logits = as_rows(x) @ table[: bias.size].T
    count_work(macs=x.size * bias.size, elementwise_flops=logits.size)
    count_passes(logits.size, arithmetic=1)
    logits += bias
    return logits.reshape(*x.shape[:-1], bias.size), (x, table)


_unembedding = fused(_unembedding_value, _unembedding_vjp, name="unembedding")


def unembedding(
    x: Float[Array, "*batch width"], table: Float[Array, "rows width"], bias: Float[Array, " outputs"]
) -> Float[Array, "*batch outputs"]:
    """Return logits over the first `outputs` rows of the embedding table (tied weights, a bias of its own).

    Source: the MLM head of MaskGIT, whose logits are cut to the codebook's columns.
    """
    return _unembedding(x, table, bias)
