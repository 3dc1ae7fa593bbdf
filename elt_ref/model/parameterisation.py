"""The three things a diffusion network may predict, and how each is made of another: x0, ε and v.

z = α x + σ ε,    v = α ε − σ x
x = (z − σ ε) / α = α z − σ v,    ε = (z − α x) / σ = σ z + α v
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from elt_ref.schedules import signal_and_noise

Samples = Float[np.ndarray, "batch height width channels"]


def add_noise(clean: Samples, noise: Samples, log_snr: Float[np.ndarray, " batch"]) -> Samples:
    """Return z = α x + σ ε."""
    alpha, sigma = _coefficients(log_snr, clean)
    return alpha * clean + sigma * noise


def prediction_target(kind: str, clean: Samples, noise: Samples, log_snr: Float[np.ndarray, " batch"]) -> Samples:
    """Return what a network of this `kind` (``"x0"``, ``"epsilon"``, ``"v"``) should predict."""
    alpha, sigma = _coefficients(log_snr, clean)
    return {"x0": lambda: clean, "epsilon": lambda: noise, "v": lambda: alpha * noise - sigma * clean}[kind]()


def to_x0(kind: str, prediction: Any, noisy: Samples, log_snr: Float[np.ndarray, " batch"]) -> Any:
    """Return the x0 that a prediction of `kind` means for the noisy sample z."""
    alpha, sigma = _coefficients(log_snr, noisy)
    if kind == "x0":
        return prediction
    return (noisy - sigma * prediction) / alpha if kind == "epsilon" else alpha * noisy - sigma * prediction


def _coefficients(log_snr: np.ndarray, like: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """α and σ of each sample, computed in float64, shaped and typed to multiply `like`."""
    shape = (-1, *[1] * (like.ndim - 1))
    alpha, sigma = signal_and_noise(np.asarray(log_snr, np.float64))
    return alpha.reshape(shape).astype(like.dtype), sigma.reshape(shape).astype(like.dtype)
