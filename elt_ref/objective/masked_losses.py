"""What the masked family minimises over the masked tokens: cross-entropy with the truth, and with the teacher.

    E7   L_GT   = − Σ_{i ∈ Mask} log P(y_i | x_mask)
    E8   L_dist = − Σ_{i ∈ Mask} Σ_v P_teacher(v | x_mask) log P_student(v | x_mask)

Both are sums over a sample's masked tokens as printed (``"sum"``), or their means (``"mean_per_sample"``, MaskGIT's
code and the default), then means over the batch. E8 is a cross-entropy, not a divergence: the two differ by the
teacher's entropy, which has no gradient.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from elt_ref.arrays import Array
from elt_ref.ops import log_softmax, softmax, softmax_cross_entropy


def token_weights(
    mask: Bool[np.ndarray, "batch tokens"], reduction: str, dtype: np.dtype
) -> Float[np.ndarray, "batch tokens"]:
    """Return the weight of each token in the loss: zero where not masked; a sample without masked tokens adds zero."""
    weights = mask / len(mask)
    if reduction == "mean_per_sample":
        weights = weights / np.maximum(1, mask.sum(axis=1, keepdims=True))
    return weights.astype(dtype)


def masked_ground_truth(
    logits: Float[Array, "batch tokens codes"],
    tokens: Int[np.ndarray, "batch tokens"],
    mask: Bool[np.ndarray, "batch tokens"],
    *,
    reduction: str = "mean_per_sample",
    label_smoothing: float = 0.0,
) -> Float[Array, ""]:
    """E7: cross-entropy of the prediction with the true tokens, over the masked ones.

    Args:
        logits: the prediction of a teacher or a student.
        tokens: the true codes.
        mask: the positions the network did not see.
        reduction: ``"mean_per_sample"`` or ``"sum"``.
        label_smoothing: share of the target that is spread evenly over the codebook.
    """
    targets = tokens
    if label_smoothing:
        codes = logits.shape[-1]
        targets = np.full(logits.shape, label_smoothing / codes, logits.dtype)
        np.put_along_axis(targets, tokens[..., None], 1 - label_smoothing + label_smoothing / codes, axis=-1)
    return softmax_cross_entropy(logits, targets, token_weights(mask, reduction, logits.dtype))


def masked_distillation(
    student: Float[Array, "batch tokens codes"],
    teacher: Float[Array, "batch tokens codes"],
    mask: Bool[np.ndarray, "batch tokens"],
    *,
    reduction: str = "mean_per_sample",
) -> Float[Array, ""]:
    """E8: cross-entropy of the student's prediction with the teacher's, over the masked tokens.

    Args:
        student: logits after L_int loops.
        teacher: logits after L_max loops; the caller stops their gradient (E5).
        mask: the positions the network did not see.
        reduction: ``"mean_per_sample"`` or ``"sum"``.
    """
    return softmax_cross_entropy(student, softmax(teacher), token_weights(mask, reduction, student.dtype))


def teacher_entropy(
    teacher: Float[np.ndarray, "batch tokens codes"],
    mask: Bool[np.ndarray, "batch tokens"],
    *,
    reduction: str = "mean_per_sample",
) -> float:
    """Return what E8 would be if the student equalled the teacher; E8 less this is the Kullback–Leibler divergence."""
    log_probabilities = log_softmax(teacher)
    entropies = -(np.exp(log_probabilities) * log_probabilities).sum(axis=-1)
    return float((entropies * token_weights(mask, reduction, teacher.dtype)).sum())
