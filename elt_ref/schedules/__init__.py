"""Plain functions of a step or a time: masks, noise, learning rate, λ, guidance, loops."""

from elt_ref.schedules.loops import (
    EarlyExit,
    LoopSchedule,
    leaning_schedule,
    loops_per_step,
    parse_loop_schedule,
)
from elt_ref.schedules.noise import log_snr, log_snr_derivative, signal_and_noise, time_grid
from elt_ref.schedules.steps import (
    guidance_scale_at,
    learning_rate_at,
    mask_lengths,
    masked_count,
    masked_fraction,
    sampling_temperature,
    truth_weight_at,
)

__all__ = [
    "EarlyExit",
    "LoopSchedule",
    "guidance_scale_at",
    "leaning_schedule",
    "learning_rate_at",
    "log_snr",
    "log_snr_derivative",
    "loops_per_step",
    "mask_lengths",
    "masked_count",
    "masked_fraction",
    "parse_loop_schedule",
    "sampling_temperature",
    "signal_and_noise",
    "time_grid",
    "truth_weight_at",
]
