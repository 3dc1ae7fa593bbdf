"""Mistakes in denoising steps and time grids."""

import math
from typing import Any

import numpy as np

from elt_ref.config import DiffusionConfig
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.generation.denoiser import denoise_step, step_variance
from elt_ref.schedules.noise import signal_and_noise
from specs.making.wrong.altered import Altered, Change, instead


def _stepping(**changes: Any) -> tuple[Change, ...]:
    """Return the change that steps with other settings; their values may depend on the right ones."""

    def step(*args: Any, diffusion: DiffusionConfig, **settings: Any) -> Any:
        update = {name: value(diffusion) if callable(value) else value for name, value in changes.items()}
        return denoise_step(*args, **settings, diffusion=diffusion.model_copy(update=update))

    return instead("generation.denoiser", denoise_step=step)


class VarianceSmallForLarge(Altered, ReferenceBackend):
    """The large variance is the posterior variance instead of β_t."""

    changes = _stepping(variance=lambda d: {"large": "small"}.get(d.variance, d.variance))


class VarianceFractionReversed(Altered, ReferenceBackend):
    """The interpolated variance is the large one at fraction 0 and the small one at 1."""

    changes = _stepping(variance_fraction=lambda d: 1 - d.variance_fraction)


def _mixed_linearly(log_snr_t: float, log_snr_s: float, diffusion: DiffusionConfig) -> float:
    if diffusion.variance != "interpolated":
        return step_variance(log_snr_t, log_snr_s, diffusion)
    small, large = (
        step_variance(log_snr_t, log_snr_s, diffusion.model_copy(update={"variance": variance}))
        for variance in ("small", "large")
    )
    return (1 - diffusion.variance_fraction) * small + diffusion.variance_fraction * large


class VarianceMixedLinearly(Altered, ReferenceBackend):
    """The variances are interpolated themselves, not their logarithms."""

    changes = instead("generation.denoiser", step_variance=_mixed_linearly)


def _posterior_ddim(noisy: Any, clean: Any, noise: Any, *, diffusion: DiffusionConfig, **settings: Any) -> Any:
    ddim = diffusion.sampler == "ddim"
    ancestral = diffusion.model_copy(update={"sampler": "ancestral"})
    return denoise_step(noisy, clean, noise * 0 if ddim else noise, **settings, diffusion=ancestral)


class DdimByPosteriorMean(Altered, ReferenceBackend):
    """DDIM is the ancestral step without its noise, which loses variance with every step."""

    changes = instead("generation.denoiser", denoise_step=_posterior_ddim)


def _stochastic_ddim(noisy: Any, clean: Any, noise: Any, **settings: Any) -> Any:
    right = denoise_step(noisy, clean, noise, **settings)
    diffusion = settings["diffusion"]
    if settings["last"] or diffusion.sampler != "ddim":
        return right
    return right + math.sqrt(step_variance(settings["log_snr_t"], settings["log_snr_s"], diffusion)) * noise


class DdimWithNoise(Altered, ReferenceBackend):
    """The deterministic step adds the noise of the ancestral step."""

    changes = instead("generation.denoiser", denoise_step=_stochastic_ddim)


def _stale_epsilon(noisy: Any, clean: Any, noise: Any, *, diffusion: DiffusionConfig, **settings: Any) -> Any:
    right = denoise_step(noisy, clean, noise, diffusion=diffusion, **settings)
    if settings["last"] or diffusion.sampler != "ddim" or diffusion.clip is None:
        return right
    alpha_t, sigma_t = (float(value) for value in signal_and_noise(np.asarray(settings["log_snr_t"])))
    sigma_s = float(signal_and_noise(np.asarray(settings["log_snr_s"]))[1])
    bounded = np.clip(clean, -diffusion.clip, diffusion.clip)
    return right + sigma_s * alpha_t / sigma_t * (bounded - clean)


class EpsilonBeforeClipping(Altered, ReferenceBackend):
    """DDIM's ε̂ follows from the unclipped prediction: denoising-diffusion-pytorch PR#84."""

    changes = instead("generation.denoiser", denoise_step=_stale_epsilon)


class ClipIgnored(Altered, ReferenceBackend):
    """Predictions of x0 are never clipped."""

    changes = _stepping(clip=None)


class ClipAtOne(Altered, ReferenceBackend):
    """Predictions are always clipped to ±1, the range of pixels, whatever the configured bound."""

    changes = _stepping(clip=lambda d: None if d.clip is None else 1.0)
