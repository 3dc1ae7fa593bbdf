"""How pictures appear: the mask schedule, the parallel decoder, guidance, and any-time loop schedules."""

from elt_ref.generation.decoder import DecodeNoise, decode_step, sampling_temperature
from elt_ref.generation.guidance import branches, guidance_scale_at, guide
from elt_ref.generation.loop_schedule import (
    EarlyExit,
    LoopSchedule,
    check_loop_schedule,
    loops_at,
    parse_loop_schedule,
)
from elt_ref.generation.mask_schedule import mask_lengths, masked_count, masked_fraction
from elt_ref.generation.sample import Sampled, decode, draw_noise, predict, sample

__all__ = [
    "DecodeNoise",
    "EarlyExit",
    "LoopSchedule",
    "Sampled",
    "branches",
    "check_loop_schedule",
    "decode",
    "decode_step",
    "draw_noise",
    "guidance_scale_at",
    "guide",
    "loops_at",
    "mask_lengths",
    "masked_count",
    "masked_fraction",
    "parse_loop_schedule",
    "predict",
    "sample",
    "sampling_temperature",
]
