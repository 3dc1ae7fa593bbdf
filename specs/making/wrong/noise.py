"""Mistakes in noise schedules, noising and conversions."""

from typing import Any

import numpy as np

from elt_ref.config import DiffusionConfig
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.model.parameterisation import prediction_target, to_x0
from elt_ref.schedules.noise import log_snr, log_snr_derivative, signal_and_noise
from specs.making.wrong.altered import Altered, instead


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


def _straight(kind: str, prediction: Any, noisy: Any, log_snr: Any) -> Any:
    return prediction if kind == "v" else to_x0(kind, prediction, noisy, log_snr)


class VTakenForClean(Altered, ReferenceBackend):
    """A prediction of v is used as x0."""

    changes = instead("model.parameterisation", to_x0=_straight)
