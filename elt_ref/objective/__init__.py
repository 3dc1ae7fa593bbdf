"""What is learned: the two families' tasks and losses, and intra-loop self-distillation over either."""

from elt_ref.objective.corruption import drop_labels, mask_tokens
from elt_ref.objective.diffusion_losses import diffusion_distillation, diffusion_ground_truth, loss_weight
from elt_ref.objective.diffusion_task import DiffusionDraws, diffusion_task
from elt_ref.objective.ilsd import LossTerms, draw_student_loops, ilsd_loss, truth_weight_at, vanilla_loss
from elt_ref.objective.masked_losses import (
    masked_distillation,
    masked_ground_truth,
    teacher_entropy,
    token_weights,
)
from elt_ref.objective.masked_task import MaskedDraws, masked_task, recovery_task
from elt_ref.objective.task import Batch, Task

__all__ = [
    "Batch",
    "DiffusionDraws",
    "LossTerms",
    "MaskedDraws",
    "Task",
    "diffusion_distillation",
    "diffusion_ground_truth",
    "diffusion_task",
    "draw_student_loops",
    "drop_labels",
    "ilsd_loss",
    "loss_weight",
    "mask_tokens",
    "masked_distillation",
    "masked_ground_truth",
    "masked_task",
    "recovery_task",
    "teacher_entropy",
    "token_weights",
    "truth_weight_at",
    "vanilla_loss",
]
