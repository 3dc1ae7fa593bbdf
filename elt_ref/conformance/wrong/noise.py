"""Mistakes in noise schedules, noising and conversions."""

from typing import Any

import numpy as np

from elt_ref.config import DiffusionConfig
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.conformance.wrong.diffusion_parts import Altered, Change, instead
from elt_ref.model.parameterisation import prediction_target, to_x0
from elt_ref.schedules.noise import log_snr, log_snr_derivative, signal_and_noise


def _reshifted(factor: float) -> tuple[Change, ...]:
    def changed(diffusion: DiffusionConfig) -> DiffusionConfig:
        at_noise = None if diffusion.shift_at_noise is None else factor * diffusion.shift_at_noise
        return diffusion.model_copy(update={"shift": factor * diffusion.shift, "shift_at_noise": at_noise})

    return instead(
        "schedules.noise",
        log_snr=lambda time, diffusion: log_snr(time, changed(diffusion)),
        log_snr_derivative=lambda time, diffusion: log_snr_derivative(time, changed(diffusion)),
    )


class ShiftSignFlipped(Altered, ReferenceBackend):
    """A larger image gets less noise: the sign of EarthBridge's shift."""

    changes = _reshifted(-1.0)


class ShiftHalved(Altered, ReferenceBackend):
    """The shift is log(noise / image) without the factor 2, also in EarthBridge."""

    changes = _reshifted(0.5)


class ShiftAppliedTwice(Altered, ReferenceBackend):
    """The schedule is shifted twice, when it is made and when it is used: diffusers PR#13706."""

    changes = _reshifted(2.0)


def _clipped(time: Any, diffusion: DiffusionConfig) -> Any:
    return np.clip(log_snr(time, diffusion), diffusion.log_snr_min, diffusion.log_snr_max)


class ClipAfterShift(Altered, ReferenceBackend):
    """The shifted log-SNR is clipped to the bounds, although the bounds hold before the shift."""

    changes = instead("schedules.noise", log_snr=_clipped)


def _within(time: Any, diffusion: DiffusionConfig) -> Any:
    shift = diffusion.shift
    bounds = {"log_snr_min": diffusion.log_snr_min - shift, "log_snr_max": diffusion.log_snr_max - shift}
    return log_snr(time, diffusion.model_copy(update=bounds))


class BoundsOfShiftedRange(Altered, ReferenceBackend):
    """The bounds are moved so that they hold for the shifted schedule, as in k-diffusion."""

    changes = instead("schedules.noise", log_snr=_within)


def _linear_betas(time: Any, diffusion: DiffusionConfig) -> Any:
    del diffusion
    log_signal = -(0.1 * (0.01 + time) + 0.5 * 19.9 * time**2)
    return log_signal - np.log(-np.expm1(log_signal))


class LinearBetas(Altered, ReferenceBackend):
    """Betas rise linearly, as in DDPM and in the unofficial port of ELT."""

    changes = instead("schedules.noise", log_snr=_linear_betas)


def _reversed_mix(diffusion: DiffusionConfig) -> DiffusionConfig:
    if diffusion.shift_at_noise is None:
        return diffusion
    return diffusion.model_copy(update={"shift": diffusion.shift_at_noise, "shift_at_noise": diffusion.shift})


class MixedShiftReversed(Altered, ReferenceBackend):
    """An interpolated schedule has the shift of the noise end at the clean end."""

    changes = instead(
        "schedules.noise",
        log_snr=lambda time, diffusion: log_snr(time, _reversed_mix(diffusion)),
        log_snr_derivative=lambda time, diffusion: log_snr_derivative(time, _reversed_mix(diffusion)),
    )


def _unmixed(diffusion: DiffusionConfig) -> DiffusionConfig:
    return diffusion.model_copy(update={"shift_at_noise": None})


class MixedShiftIgnored(Altered, ReferenceBackend):
    """The second shift of an interpolated schedule is ignored."""

    changes = instead(
        "schedules.noise",
        log_snr=lambda time, diffusion: log_snr(time, _unmixed(diffusion)),
        log_snr_derivative=lambda time, diffusion: log_snr_derivative(time, _unmixed(diffusion)),
    )


class DerivativeWithoutShiftSlope(Altered, ReferenceBackend):
    """The derivative covers only the cosine, although an interpolated shift changes with time."""

    changes = instead(
        "schedules.noise",
        log_snr_derivative=lambda time, diffusion: log_snr_derivative(time, _unmixed(diffusion)),
    )


class DerivativeSignFlipped(Altered, ReferenceBackend):
    """The derivative is taken of −λ, which VDM calls γ."""

    changes = instead(
        "schedules.noise",
        log_snr_derivative=lambda time, diffusion: -log_snr_derivative(time, diffusion),
    )


class DerivativeHalved(Altered, ReferenceBackend):
    """The derivative is taken of log(α/σ), without the square in the SNR."""

    changes = instead(
        "schedules.noise",
        log_snr_derivative=lambda time, diffusion: 0.5 * log_snr_derivative(time, diffusion),
    )


class AlphaSigmaSwapped(Altered, ReferenceBackend):
    """α and σ are swapped: noise where the clean sample should be."""

    changes = instead("schedules.noise", signal_and_noise=lambda log_snr: signal_and_noise(log_snr)[::-1])


def _unrooted(log_snr: Any) -> Any:
    alpha, sigma = signal_and_noise(log_snr)
    return alpha, sigma**2


class SigmaRootForgotten(Altered, ReferenceBackend):
    """The noise factor is σ² instead of σ, without the root in √(1 − ᾱ): labml #152."""

    changes = instead("schedules.noise", signal_and_noise=_unrooted)


class VSignFlipped(Altered, ReferenceBackend):
    """V is σ x − α ε, the opposite sign, in the target and in the inverse."""

    changes = instead(
        "model.parameterisation",
        prediction_target=lambda kind, *rest: (-1 if kind == "v" else 1) * prediction_target(kind, *rest),
        to_x0=lambda kind, prediction, *rest: to_x0(kind, (-1 if kind == "v" else 1) * prediction, *rest),
    )


def _v_of_swapped(kind: str, clean: Any, noise: Any, log_snr: Any) -> Any:
    return (
        prediction_target(kind, noise, clean, log_snr)
        if kind == "v"
        else prediction_target(kind, clean, noise, log_snr)
    )


class VOfSwapped(Altered, ReferenceBackend):
    """V is α x − σ ε: clean sample and noise exchanged."""

    changes = instead("model.parameterisation", prediction_target=_v_of_swapped)


class TargetNoiseForClean(Altered, ReferenceBackend):
    """The target of a network of kind x0 is the noise."""

    changes = instead(
        "model.parameterisation",
        prediction_target=lambda kind, *rest: prediction_target("epsilon" if kind == "x0" else kind, *rest),
    )


class TargetAlwaysNoise(Altered, ReferenceBackend):
    """A network of any kind learns the noise, as in the unofficial port of ELT."""

    changes = instead(
        "model.parameterisation", prediction_target=lambda _kind, *rest: prediction_target("epsilon", *rest)
    )


def _undivided(kind: str, prediction: Any, noisy: Any, log_snr: Any) -> Any:
    if kind != "epsilon":
        return to_x0(kind, prediction, noisy, log_snr)
    sigma = signal_and_noise(np.asarray(log_snr, np.float64))[1].astype(noisy.dtype)
    return noisy - sigma.reshape(-1, *[1] * (noisy.ndim - 1)) * prediction


class EpsilonUndivided(Altered, ReferenceBackend):
    """X0 is z − σ ε̂, without the division by α."""

    changes = instead("model.parameterisation", to_x0=_undivided)


class CleanTakenForEpsilon(Altered, ReferenceBackend):
    """A prediction of x0 is converted as if it were ε, the only kind in DDPM's code."""

    changes = instead(
        "model.parameterisation",
        to_x0=lambda kind, *rest: to_x0("epsilon" if kind == "x0" else kind, *rest),
    )


def _straight(kind: str, prediction: Any, noisy: Any, log_snr: Any) -> Any:
    return prediction if kind == "v" else to_x0(kind, prediction, noisy, log_snr)


class VTakenForClean(Altered, ReferenceBackend):
    """A prediction of v is used as x0."""

    changes = instead("model.parameterisation", to_x0=_straight)
