"""How training finds the parameters: optimizer, moving average, train step, trainer, checkpoints."""

from elt_ref.objective import Batch, Draws, draw, take_batch
from elt_ref.training.checkpoint import load_checkpoint, save_checkpoint
from elt_ref.training.idea_loss import idea_loss_and_gradient
from elt_ref.training.learning import Notice, notice, sentence
from elt_ref.training.optimizer import Moments, adamw, clip_gradient, moving_average, zero_moments
from elt_ref.training.step import StepInfo, TrainState, init_state, loss_and_gradient, train_step
from elt_ref.training.trainer import CHECKPOINT, METRICS, missing_steps, read_metrics, train

__all__ = [
    "CHECKPOINT",
    "METRICS",
    "Batch",
    "Draws",
    "Moments",
    "Notice",
    "StepInfo",
    "TrainState",
    "adamw",
    "clip_gradient",
    "draw",
    "idea_loss_and_gradient",
    "init_state",
    "load_checkpoint",
    "loss_and_gradient",
    "missing_steps",
    "moving_average",
    "notice",
    "read_metrics",
    "save_checkpoint",
    "sentence",
    "take_batch",
    "train",
    "train_step",
    "zero_moments",
]
