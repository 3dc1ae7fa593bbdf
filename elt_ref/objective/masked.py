"""The masked family's objective: a batch is masked once, and the network learns to predict the masked tokens.

    E7   L_GT   = − Σ_{i ∈ Mask} log P(y_i | x_mask)
    E8   L_dist = − Σ_{i ∈ Mask} Σ_v P_teacher(v | x_mask) log P_student(v | x_mask)

Both are sums over a sample's masked tokens as printed (``"sum"``), or their means (``"mean_per_sample"``, MaskGIT's
code and the default), then means over the batch. E8 is a cross-entropy, not a divergence: the two differ by the
teacher's entropy, which has no gradient.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from elt_ref.arrays import Array, check_integers
from elt_ref.config import MaskedExperiment
from elt_ref.errors import RequestError
from elt_ref.objective.draws import Batch, MaskedDraws, check_classes, drop_labels, mask_tokens
from elt_ref.ops import softmax, softmax_cross_entropy

Tokens = Int[np.ndarray, "batch tokens"]
Labels = Int[np.ndarray, " batch"]


class MaskedTarget(NamedTuple):
    """The true tokens behind the mask, and the losses of a prediction of them."""

    tokens: Tokens
    """y, the true codes."""
    mask: Bool[np.ndarray, "batch tokens"]
    """Positions that the network does not see."""
    reduction: str = "mean_per_sample"
    """``"mean_per_sample"`` or ``"sum"``."""
    label_smoothing: float = 0.0
    """Share of the ground truth that is spread evenly over the codebook."""

    def ground_truth(self, logits: Float[Array, "batch tokens codes"]) -> Float[Array, ""]:
        """E7: cross-entropy of a prediction with the true tokens, over the masked ones."""
        targets = self.tokens
        if self.label_smoothing:
            codes = logits.shape[-1]
            rest = self.label_smoothing / codes
            targets = np.full(logits.shape, rest, logits.dtype)
            np.put_along_axis(targets, self.tokens[..., None], 1 - self.label_smoothing + rest, axis=-1)
        return softmax_cross_entropy(logits, targets, self.weights(logits.dtype))

    def distillation(
        self, student: Float[Array, "batch tokens codes"], teacher: Float[Array, "batch tokens codes"]
    ) -> Float[Array, ""]:
        """E8: cross-entropy of the student's prediction with the teacher's; the caller stops its gradient."""
        return softmax_cross_entropy(student, softmax(teacher), self.weights(student.dtype))

    def weights(self, dtype: np.dtype) -> Float[np.ndarray, "batch tokens"]:
        """Return each token's weight in the loss: zero where not masked; a sample without masked tokens adds zero."""
        weights = self.mask / len(self.mask)
        if self.reduction == "mean_per_sample":
            weights = weights / np.maximum(1, self.mask.sum(axis=1, keepdims=True))
        return weights.astype(dtype)


def corrupt_masked(
    config: MaskedExperiment, batch: Batch, draws: MaskedDraws
) -> tuple[tuple[Tokens, Labels], MaskedTarget]:
    """Return the network's inputs (masked tokens, labels, some dropped) and what it should predict.

    Raises:
        RequestError: tokens or labels of another dtype, shape or range.
    """
    model, objective = config.model, config.objective
    known = f"codes in 0…{model.codebook_size - 1} or the mask {model.mask_token}"
    shape = ("batch", model.tokens)
    check_integers("tokens", batch.examples, shape, below=model.codebook_size, also=model.mask_token, expected=known)
    check_classes(batch.labels, len(batch.examples), model)
    if (batch.examples == model.mask_token).any():
        raise RequestError(f"tokens: expected codes in 0…{model.codebook_size - 1} to learn from, got the mask")
    labels = drop_labels(
        batch.labels, draws.label_drop, rate=objective.label_drop_rate, unconditional=model.unconditional_class
    )
    mask = mask_tokens(draws.mask_ratio, draws.mask_order)
    seen = np.where(mask, model.mask_token, batch.examples.astype(np.int64))
    target = MaskedTarget(batch.examples, mask, objective.reduction, objective.label_smoothing)
    return (seen, labels), target
