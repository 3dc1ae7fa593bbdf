"""What is learned: masking, the two losses over masked tokens, and intra-loop self-distillation."""

from elt_ref.objective.ilsd import LossTerms, draw_student_loops, ilsd_loss, truth_weight_at, vanilla_loss
from elt_ref.objective.masked_losses import (
    masked_distillation,
    masked_ground_truth,
    teacher_entropy,
    token_weights,
)
from elt_ref.objective.masking import drop_labels, mask_tokens

__all__ = [
    "LossTerms",
    "draw_student_loops",
    "drop_labels",
    "ilsd_loss",
    "mask_tokens",
    "masked_distillation",
    "masked_ground_truth",
    "teacher_entropy",
    "token_weights",
    "truth_weight_at",
    "vanilla_loss",
]
