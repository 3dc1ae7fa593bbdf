"""What is learned: a batch is made ready once, each family has its losses, and E5 joins them."""

from elt_ref.objective.diffusion import DiffusionTarget, corrupt_diffusion, loss_weight
from elt_ref.objective.draws import (
    Batch,
    DiffusionDraws,
    Draws,
    DriftingDraws,
    MaskedDraws,
    StudentLoops,
    batch_indices,
    draw,
    draw_student,
    draw_student_loops,
    drop_labels,
    mask_tokens,
    stream_names,
    take_batch,
)
from elt_ref.objective.drifting import DriftingTarget, drift_field, pair_drifting
from elt_ref.objective.families import FamilyTarget
from elt_ref.objective.ilsd import LossTerms, Target, ilsd_loss, vanilla_loss
from elt_ref.objective.masked import MaskedTarget, corrupt_masked

__all__ = [
    "Batch",
    "DiffusionDraws",
    "DiffusionTarget",
    "Draws",
    "DriftingDraws",
    "DriftingTarget",
    "FamilyTarget",
    "LossTerms",
    "MaskedDraws",
    "MaskedTarget",
    "StudentLoops",
    "Target",
    "batch_indices",
    "corrupt_diffusion",
    "corrupt_masked",
    "draw",
    "draw_student",
    "draw_student_loops",
    "drift_field",
    "drop_labels",
    "ilsd_loss",
    "loss_weight",
    "mask_tokens",
    "pair_drifting",
    "stream_names",
    "take_batch",
    "vanilla_loss",
]
