"""How pictures and clips appear: mask and noise schedules, the two samplers, guidance, and any-time loop schedules."""

from elt_ref.generation.decoder import DecodeNoise, decode_step, sampling_temperature
from elt_ref.generation.denoiser import denoise_step, step_variance, time_grid
from elt_ref.generation.diffusion_sampler import DenoiseState, denoise, initial_noise, predict_clean, step_noise
from elt_ref.generation.guidance import branches, guidance_scale_at, guide
from elt_ref.generation.known_frames import known_start, parse_frames
from elt_ref.generation.loop_schedule import (
    EarlyExit,
    LoopSchedule,
    check_loop_schedule,
    leaning_schedule,
    loops_at,
    parse_loop_schedule,
)
from elt_ref.generation.mask_schedule import mask_lengths, masked_count, masked_fraction
from elt_ref.generation.masked_sampler import DecodeState, decode, draw_noise, predict_tokens
from elt_ref.generation.noise_schedule import log_snr, log_snr_derivative, signal_and_noise
from elt_ref.generation.prediction import add_noise, prediction_target, to_epsilon, to_x0
from elt_ref.generation.sample import Sampled, sample

__all__ = [
    "DecodeNoise",
    "DecodeState",
    "DenoiseState",
    "EarlyExit",
    "LoopSchedule",
    "Sampled",
    "add_noise",
    "branches",
    "check_loop_schedule",
    "decode",
    "decode_step",
    "denoise",
    "denoise_step",
    "draw_noise",
    "guidance_scale_at",
    "guide",
    "initial_noise",
    "known_start",
    "leaning_schedule",
    "log_snr",
    "log_snr_derivative",
    "loops_at",
    "mask_lengths",
    "masked_count",
    "masked_fraction",
    "parse_frames",
    "parse_loop_schedule",
    "predict_clean",
    "predict_tokens",
    "prediction_target",
    "sample",
    "sampling_temperature",
    "signal_and_noise",
    "step_noise",
    "step_variance",
    "time_grid",
    "to_epsilon",
    "to_x0",
]
