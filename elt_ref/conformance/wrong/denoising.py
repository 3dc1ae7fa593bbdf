"""Mistakes in denoising steps and time grids."""

import math
from typing import Any

import numpy as np

from elt_ref.config import DiffusionConfig
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.conformance.wrong.diffusion_parts import Altered, Change, instead
from elt_ref.generation.denoiser import denoise_step, step_variance
from elt_ref.schedules.noise import signal_and_noise


def _stepping(**changes: Any) -> tuple[Change, ...]:
    """Return the change that steps with other settings; their values may depend on the right ones."""

    def step(*args: Any, diffusion: DiffusionConfig, **settings: Any) -> Any:
        update = {name: value(diffusion) if callable(value) else value for name, value in changes.items()}
        return denoise_step(*args, **settings, diffusion=diffusion.model_copy(update=update))

    return instead("generation.denoiser", denoise_step=step)


class VarianceLargeForSmall(Altered, ReferenceBackend):
    """The small variance is β_t instead of the posterior variance: FIXED_LARGE in DiT's code."""

    changes = _stepping(variance=lambda d: {"small": "large"}.get(d.variance, d.variance))


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


class VarianceForDeviation(Altered, ReferenceBackend):
    """The noise is multiplied by the variance, not by its root."""

    changes = instead(
        "generation.denoiser", step_variance=lambda *args, **settings: step_variance(*args, **settings) ** 2
    )


def _noisy_last(*args: Any, last: bool, **settings: Any) -> Any:
    del last
    return denoise_step(*args, **settings, last=False)


class NoiseInLastStep(Altered, ReferenceBackend):
    """The last step is like the others, noise and all: labml's p_sample has no branch for t = 0."""

    changes = instead("generation.denoiser", denoise_step=_noisy_last)


def _mean_last(noisy: Any, clean: Any, noise: Any, *, last: bool, **settings: Any) -> Any:
    return denoise_step(noisy, clean, noise * 0 if last else noise, **settings, last=False)


def _quiet(noisy: Any, clean: Any, noise: Any, **settings: Any) -> Any:
    return denoise_step(noisy, clean, noise * 0, **settings)


class NoiseLeftOut(Altered, ReferenceBackend):
    """No step adds noise, although the sampler is ancestral."""

    changes = instead("generation.denoiser", denoise_step=_quiet)


class MeanInLastStep(Altered, ReferenceBackend):
    """The last step returns its mean, which is not yet x0: as denoising-diffusion-pytorch."""

    changes = instead("generation.denoiser", denoise_step=_mean_last)


def _swapped_mean(
    noisy: Any, clean: Any, noise: Any, *, log_snr_t: float, log_snr_s: float, last: bool, diffusion: DiffusionConfig
) -> Any:
    settings: dict[str, Any] = {
        "log_snr_t": log_snr_t,
        "log_snr_s": log_snr_s,
        "last": last,
        "diffusion": diffusion,
    }
    right = denoise_step(noisy, clean, noise, **settings)
    if last or diffusion.sampler == "ddim":
        return right
    share = -math.expm1(log_snr_t - log_snr_s)
    alpha_t = float(signal_and_noise(np.asarray(log_snr_t))[0])
    alpha_s = float(signal_and_noise(np.asarray(log_snr_s))[0])
    bounded = clean if diffusion.clip is None else np.clip(clean, -diffusion.clip, diffusion.clip)
    return right + alpha_s * (2 * share - 1) * (noisy / alpha_t - bounded)


class MeanSharesSwapped(Altered, ReferenceBackend):
    """The mean weighs z with c and x̂ with 1 − c: the two are swapped."""

    changes = instead("generation.denoiser", denoise_step=_swapped_mean)


def _without_signal(noisy: Any, clean: Any, noise: Any, **settings: Any) -> Any:
    right = denoise_step(noisy, clean, noise, **settings)
    if settings["last"] or settings["diffusion"].sampler == "ddim":
        return right
    remaining = math.exp(settings["log_snr_t"] - settings["log_snr_s"])
    alpha_t = float(signal_and_noise(np.asarray(settings["log_snr_t"]))[0])
    alpha_s = float(signal_and_noise(np.asarray(settings["log_snr_s"]))[0])
    return right + remaining * (1 - alpha_s / alpha_t) * noisy


class MeanWithoutSignalRatio(Altered, ReferenceBackend):
    """Z enters the mean without the factor α_s / α_t."""

    changes = instead("generation.denoiser", denoise_step=_without_signal)


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


class ClipAlways(Altered, ReferenceBackend):
    """Predictions are clipped to ±1 without a configured clip, although latents are not bounded."""

    changes = _stepping(clip=lambda d: 1.0 if d.clip is None else d.clip)


class ClipAtOne(Altered, ReferenceBackend):
    """Predictions are always clipped to ±1, the range of pixels, whatever the configured bound."""

    changes = _stepping(clip=lambda d: None if d.clip is None else 1.0)


class TimesWithoutEnd(Altered, ReferenceBackend):
    """The grid stops one step before 0: 1 − k / (K + 1)."""

    changes = instead("schedules.noise", time_grid=lambda steps: 1 - np.arange(steps + 1) / (steps + 1))


class TimesByWholeStride(Altered, ReferenceBackend):
    """The grid takes every n-th of a thousand times, n a whole number: as in the unofficial port of ELT."""

    changes = instead("schedules.noise", time_grid=lambda steps: 1 - np.arange(steps + 1) * (1000 // steps) / 1000)


class TimesWithoutStart(Altered, ReferenceBackend):
    """The grid begins one step after 1, a shifted timestep: denoising-diffusion-pytorch #81, diffusers #9090."""

    changes = instead("schedules.noise", time_grid=lambda steps: np.arange(steps, -1, -1) / (steps + 1))


class TimesSquared(Altered, ReferenceBackend):
    """The grid is uneven, as in samplers with more steps at low noise."""

    changes = instead("schedules.noise", time_grid=lambda steps: np.linspace(1, 0, steps + 1) ** 2)
