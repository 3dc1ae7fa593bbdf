"""The noise schedule, the loss weight, and the step of the diffusion sampler. t = 0 is clean, t = 1 noise.

    λ = log(α² / σ²),  α² = sigmoid(λ),  σ² = sigmoid(−λ)
    λ(t) = −2 log tan a + shift,  a from atan(e^(−λ_max/2)) at t = 0 evenly to atan(e^(−λ_min/2)) at t = 1

With b = π/2 − a, which falls evenly to atan(e^(λ_min/2)), this is 2 log(sin b / sin a). Near t = 1 a is almost a right
angle, and the last bit of a would be some 2,000 last bits of tan a and of every quotient by α.

Sources: simple diffusion, SiD2, VDM. A sample is a flat list of values, because nothing depends on their places.
"""

import math
from collections.abc import Mapping
from typing import Any

Section = Mapping[str, Any]


def sigmoid(x: float) -> float:
    """Return 1 / (1 + e^−x)."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def signal_and_noise(log_snr: float) -> tuple[float, float]:
    """Return α and σ."""
    return math.sqrt(sigmoid(log_snr)), math.sqrt(sigmoid(-log_snr))


def log_snr_at(diffusion: Section, time: float) -> tuple[float, float]:
    """Return λ(t) and dλ/dt. The shift is added to the bounded cosine; two shifts mix as t · high + (1 − t) · low."""
    first_a, last_b = (
        math.atan(math.exp(-diffusion["log_snr_max"] / 2)),
        math.atan(math.exp(diffusion["log_snr_min"] / 2)),
    )
    span = math.pi / 2 - last_b - first_a
    sin_a, sin_b = math.sin(first_a + time * span), math.sin(last_b + (1 - time) * span)
    low, high = diffusion["shift"], diffusion["shift_at_noise"]
    high = low if high is None else high
    log_snr = 2 * math.log(sin_b / sin_a) + time * high + (1 - time) * low
    # d/da −2 log tan a = −2 / (sin a cos a), and cos a = sin b
    return log_snr, -2 * span / (sin_a * sin_b) + (high - low)


def loss_weight(diffusion: Section, time: float) -> float:
    """Return w(t): (−dλ/dt) e^b sigmoid(λ − b) on x0.

    ‖x̂ − x‖² = e^−λ ‖ε̂ − ε‖² = σ² ‖v̂ − v‖² gives the factor of the other two predictions.
    """
    log_snr, derivative = log_snr_at(diffusion, time)
    bias = diffusion["bias"]
    weight = math.exp(bias) * sigmoid(log_snr - bias)
    weight *= {"x0": 1.0, "epsilon": math.exp(-log_snr), "v": sigmoid(-log_snr)}[diffusion["prediction"]]
    return -derivative * weight if diffusion["weight_derivative"] else weight


def add_noise(clean: list[float], noise: list[float], log_snr: float) -> list[float]:
    """Return z = α x + σ ε."""
    alpha, sigma = signal_and_noise(log_snr)
    return [alpha * x + sigma * e for x, e in zip(clean, noise, strict=True)]


def prediction_target(kind: str, clean: list[float], noise: list[float], log_snr: float) -> list[float]:
    """Return x0, ε, or v = α ε − σ x."""
    alpha, sigma = signal_and_noise(log_snr)
    v = [alpha * e - sigma * x for x, e in zip(clean, noise, strict=True)]
    return {"x0": clean, "epsilon": noise, "v": v}[kind]


def to_clean(kind: str, prediction: list[float], noisy: list[float], log_snr: float) -> list[float]:
    """Return the x0 of a prediction: itself, (z − σ ε) / α, or α z − σ v."""
    alpha, sigma = signal_and_noise(log_snr)
    if kind == "x0":
        return prediction
    if kind == "epsilon":
        return [(z - sigma * e) / alpha for z, e in zip(noisy, prediction, strict=True)]
    return [alpha * z - sigma * v for z, v in zip(noisy, prediction, strict=True)]


def denoise_step(
    diffusion: Section,
    noisy: list[float],
    clean: list[float],
    noise: list[float],
    log_snr_t: float,
    log_snr_s: float,
    *,
    last: bool,
) -> list[float]:
    """E2, from λ_t to λ_s: with c = 1 − e^(λ_t − λ_s), mean α_s ((1 − c) z / α_t + c x̂), variance σ_s² c (small).

    Large is σ_t² c; interpolated is their geometric mean with weight ``variance_fraction``. DDIM: α_s x̂ + σ_s ε̂ with
    ε̂ = (z − α_t x̂) / σ_t. Clipping of the prediction, if any, comes first; the last step returns the prediction.
    """
    if diffusion["clip"] is not None:
        clean = [min(max(x, -diffusion["clip"]), diffusion["clip"]) for x in clean]
    if last:
        return clean
    (alpha_t, sigma_t), (alpha_s, sigma_s) = signal_and_noise(log_snr_t), signal_and_noise(log_snr_s)
    if diffusion["sampler"] == "ddim":
        return [alpha_s * x + sigma_s * (z - alpha_t * x) / sigma_t for z, x in zip(noisy, clean, strict=True)]
    share = -math.expm1(log_snr_t - log_snr_s)
    small, large = sigma_s * sigma_s * share, sigma_t * sigma_t * share
    fraction = {"small": 0.0, "large": 1.0, "interpolated": diffusion["variance_fraction"]}[diffusion["variance"]]
    deviation = math.sqrt(small ** (1 - fraction) * large**fraction)
    return [
        alpha_s * ((1 - share) * z / alpha_t + share * x) + deviation * e
        for z, x, e in zip(noisy, clean, noise, strict=True)
    ]


def time_grid(steps: int) -> list[float]:
    """Return steps + 1 times, evenly from 1 to 0."""
    return [1 - step / steps for step in range(steps + 1)]
