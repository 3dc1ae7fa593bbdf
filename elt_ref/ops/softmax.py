"""Softmax over the last axis, and the cross-entropy of logits with hard or soft targets over a masked subset.

    softmax        value  p = exp(x − max x) / Σ             FLOPs  5 · size
                   VJP    x̄ = p ∘ (p̄ − Σ p̄ ∘ p)              FLOPs  4 · size
    cross-entropy  value  Σ_i w_i (− Σ_v t_iv log p_iv)      FLOPs  7 · logits of the subset  (+ 2 with soft targets)
                   VJP    x̄_i = w_i (p_i Σ_v t_iv − t_i),  t̄_i = − w_i log p_i
                                                             FLOPs  2 · logits of the subset
Rows of weight zero are never touched: they cost nothing and cannot turn into NaN.
"""

import numpy as np
from jaxtyping import Float, Int

from elt_ref.arrays import Array
from elt_ref.ops.counter import count_passes, count_work
from elt_ref.ops.fused import fused
from elt_ref.ops.linear import as_rows
from elt_ref.ops.sums import last_axis_sum


def _softmax_vjp(cotangent: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray]:
    count_work(elementwise_flops=4 * kept.size)
    count_passes(kept.size, arithmetic=3)
    return (kept * (cotangent - np.einsum("...v,...v->...", cotangent, kept)[..., None]),)


def _softmax_value(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    count_work(elementwise_flops=5 * x.size)
    count_passes(x.size, arithmetic=4, exp=1)
    probabilities = np.exp(x - x.max(axis=-1, keepdims=True))
    probabilities /= last_axis_sum(probabilities)
    return probabilities, probabilities


_softmax = fused(_softmax_value, _softmax_vjp, name="softmax")


def softmax(x: Float[Array, "*batch values"]) -> Float[Array, "*batch values"]:
    """Return ``exp(x) / Σ exp(x)`` over the last axis, safe for logits of any size."""
    return _softmax(x)


def log_softmax(x: Float[np.ndarray, "*batch values"]) -> Float[np.ndarray, "*batch values"]:
    """Return ``x − log Σ exp(x)`` over the last axis; not an op, so not differentiable."""
    shifted = x - x.max(axis=-1, keepdims=True)
    shifted -= np.log(last_axis_sum(np.exp(shifted)))
    return shifted


_Kept = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, tuple[int, ...]]


def _cross_entropy_vjp(cotangent: np.ndarray | np.floating, kept: _Kept) -> tuple[np.ndarray, np.ndarray | None, None]:
    chosen, log_probabilities, probabilities, targets, weights, shape = kept
    count_work(elementwise_flops=2 * log_probabilities.size)
    count_passes(log_probabilities.size, arithmetic=2)
    weights = (cotangent * weights)[:, None]
    gradient = probabilities.copy()
    if hard := targets.ndim == 1:
        gradient[np.arange(len(targets)), targets] -= 1
    else:
        gradient *= targets.sum(axis=-1, keepdims=True)
        gradient -= targets
    gradient *= weights
    of_targets = None if hard else _scatter(-weights * log_probabilities, chosen, shape)
    return _scatter(gradient, chosen, shape), of_targets, None


def _scatter(rows: np.ndarray, chosen: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    whole = np.zeros((int(np.prod(shape[:-1])), shape[-1]), rows.dtype)
    whole[chosen] = rows
    return whole.reshape(shape)


def _cross_entropy_value(logits: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, _Kept]:
    chosen = np.flatnonzero(weights)
    selected = as_rows(logits)[chosen]
    log_probabilities = log_softmax(selected)
    weights = weights.reshape(-1)[chosen]
    if hard := np.issubdtype(targets.dtype, np.integer):
        targets = targets.reshape(-1)[chosen]
        entropies = -log_probabilities[np.arange(len(chosen)), targets]
    else:
        targets = as_rows(targets)[chosen]
        entropies = -np.einsum("nv,nv->n", targets, log_probabilities)
    count_work(elementwise_flops=(7 if hard else 9) * selected.size)
    count_passes(selected.size, arithmetic=4 if hard else 5, exp=2)
    return np.asarray(np.dot(weights, entropies)), (
        chosen,
        log_probabilities,
        np.exp(log_probabilities),
        targets,
        weights,
        logits.shape,
    )


_cross_entropy = fused(_cross_entropy_value, _cross_entropy_vjp, name="softmax_cross_entropy")


def softmax_cross_entropy(
    logits: Float[Array, "*batch values"],
    targets: Int[Array, "*batch"] | Float[Array, "*batch values"],
    weights: Float[Array, "*batch"],
) -> Float[Array, ""]:
    """Return the weighted sum over positions of ``−Σ_v target_v log softmax(logits)_v``.

    Args:
        logits: unnormalised log-probabilities.
        targets: hard, the index of the true value; or soft, a distribution over the values.
        weights: one constant per position; positions of weight zero are left out.
    """
    return _cross_entropy(logits, targets, weights)
