"""How much noise there is at time t: the shifted cosine schedule in log-SNR, with t = 0 clean and t = 1 noise.

    λ = log(α² / σ²),  α² = sigmoid(λ),  σ² = sigmoid(−λ)
    λ_cos(t) = −2 log tan(t_min + t (t_max − t_min)),  t_min = atan(e^(−λ_max/2)),  t_max = atan(e^(−λ_min/2))
    λ(t) = λ_cos(t) + shift,  shift = 2 log(noise resolution / image resolution)

The clip to [λ_min, λ_max] comes before the shift, so the range is [λ_min + shift, λ_max + shift]. A larger image has a
negative shift: more noise. The interpolated form mixes two shifts, t · low + (1 − t) · high.

Source: simple diffusion; two independent codes agree on sign and scale. λ here is not the λ of ILSD.
"""

import math

import numpy as np
from jaxtyping import Float

from elt_ref.config import DiffusionConfig

Times = Float[np.ndarray, "*batch"]


def log_snr(time: Times, diffusion: DiffusionConfig) -> Times:
    """Return λ(t), decreasing, in float64 (or wider, as `time` is).

    Args:
        time: in [0, 1].
        diffusion: bounds and shifts.
    """
    angle, _ = _angle(time, diffusion)
    base = -2 * np.log(np.tan(angle))
    return base + _shift(time, diffusion)


def log_snr_derivative(time: Times, diffusion: DiffusionConfig) -> Times:
    """Return dλ/dt < 0: −4 (t_max − t_min) / sin(2 (t_min + t (t_max − t_min))), and the slope of a mixed shift."""
    angle, span = _angle(time, diffusion)
    slope = 0.0 if diffusion.shift_at_noise is None else diffusion.shift_at_noise - diffusion.shift
    return -4 * span / np.sin(2 * angle) + slope


def _angle(time: Times, diffusion: DiffusionConfig) -> tuple[Times, float | np.longdouble]:
    lowest, highest = (_end(-bound / 2, time) for bound in (diffusion.log_snr_max, diffusion.log_snr_min))
    wide = time if time.dtype == np.longdouble else np.asarray(time, np.float64)
    return lowest + wide * (highest - lowest), highest - lowest


def _end(exponent: float, time: Times) -> float | np.longdouble:
    """Return atan(e^exponent), in extended precision where the times are: near t = 1 a last bit of it is 500 of λ's."""
    return np.arctan(np.exp(np.longdouble(exponent))) if time.dtype == np.longdouble else math.atan(math.exp(exponent))


def _shift(time: Times, diffusion: DiffusionConfig) -> Times | float:
    if diffusion.shift_at_noise is None:
        return diffusion.shift
    return time * diffusion.shift_at_noise + (1 - time) * diffusion.shift


def signal_and_noise(log_snr: Times | np.float64) -> tuple[Times | np.float64, Times | np.float64]:
    """Return (α, σ) with α² = sigmoid(λ) and σ² = sigmoid(−λ), so α² + σ² = 1."""
    return np.exp(-0.5 * np.logaddexp(0, -log_snr)), np.exp(-0.5 * np.logaddexp(0, log_snr))


def time_grid(steps: int) -> Float[np.ndarray, " steps_and_one"]:
    """Return the steps + 1 times of sampling, evenly from 1 to 0."""
    return np.linspace(1, 0, steps + 1)
