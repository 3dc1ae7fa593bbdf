"""How pictures and clips appear: the two samplers, guidance, known frames."""

from elt_ref.generation.decoder import DecodeNoise, decode_step
from elt_ref.generation.denoiser import denoise_step, step_variance
from elt_ref.generation.diffusion_sampler import DenoiseState, denoise, initial_noise, predict_clean, step_noise
from elt_ref.generation.guidance import branches, guide
from elt_ref.generation.known_frames import known_start, parse_frames
from elt_ref.generation.masked_sampler import DecodeState, decode, draw_noise, predict_tokens
from elt_ref.generation.one_step_sampler import generate
from elt_ref.generation.sample import Sampled, sample

__all__ = [
    "DecodeNoise",
    "DecodeState",
    "DenoiseState",
    "Sampled",
    "branches",
    "decode",
    "decode_step",
    "denoise",
    "denoise_step",
    "draw_noise",
    "generate",
    "guide",
    "initial_noise",
    "known_start",
    "parse_frames",
    "predict_clean",
    "predict_tokens",
    "sample",
    "step_noise",
    "step_variance",
]
