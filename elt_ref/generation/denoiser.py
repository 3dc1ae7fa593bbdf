"""One step of the diffusion sampler, from time t to s < t, in log-SNR form.

    E2   X_s = α1 X_t + α2 M + α3 z:   c = 1 − e^(λ_t − λ_s)
         mean = α_s ((1 − c) z_t / α_t + c x̂)
         variance  small  σ_s² c   the posterior's,        large  σ_t² c,
                   interpolated  exp((1 − f) log small + f log large)
         DDIM (deterministic)   z_s = α_s x̂ + σ_s ε̂,  ε̂ = (z_t − α_t x̂) / σ_t
         the last step returns x̂, without noise

Source: simple diffusion, VDM and diffusion_distillation agree. Guidance comes before the clip, if there is one, and
ε̂ follows from the clipped x̂.
"""

import math

import numpy as np
from jaxtyping import Float

from elt_ref.config import DiffusionConfig
from elt_ref.schedules import signal_and_noise

Samples = Float[np.ndarray, "batch height width channels"]


def denoise_step(
    noisy: Samples,
    clean: Samples,
    noise: Samples,
    *,
    log_snr_t: float,
    log_snr_s: float,
    last: bool,
    diffusion: DiffusionConfig,
) -> Samples:
    """E2: return the sample at the next, less noisy time.

    Args:
        noisy: z_t.
        clean: the guided prediction x̂.
        noise: standard normal; unused by the last and by deterministic steps.
        log_snr_t: λ_t, now.
        log_snr_s: λ_s > λ_t, next.
        last: whether this step ends the sampling: its result is x̂.
        diffusion: variance, determinism, clipping.
    """
    if diffusion.clip is not None:
        clean = np.clip(clean, -diffusion.clip, diffusion.clip)
    if last:
        return clean
    alpha_t, sigma_t = (float(value) for value in signal_and_noise(np.asarray(log_snr_t)))
    alpha_s, sigma_s = (float(value) for value in signal_and_noise(np.asarray(log_snr_s)))
    if diffusion.sampler == "ddim":
        return alpha_s * clean + sigma_s * ((noisy - alpha_t * clean) / sigma_t)
    share = -math.expm1(log_snr_t - log_snr_s)
    mean = alpha_s * ((1 - share) / alpha_t * noisy + share * clean)
    return mean + math.sqrt(step_variance(log_snr_t, log_snr_s, diffusion)) * noise


def step_variance(log_snr_t: float, log_snr_s: float, diffusion: DiffusionConfig) -> float:
    """Return the variance of an ancestral step: small, large, or between (``variance_fraction``: 0 small, 1 large)."""
    share = -math.expm1(log_snr_t - log_snr_s)
    _, sigma_t = signal_and_noise(np.asarray(log_snr_t))
    _, sigma_s = signal_and_noise(np.asarray(log_snr_s))
    small, large = float(sigma_s) ** 2 * share, float(sigma_t) ** 2 * share
    fraction = {"small": 0.0, "large": 1.0, "interpolated": diffusion.variance_fraction}[diffusion.variance]
    return math.exp((1 - fraction) * math.log(small) + fraction * math.log(large))
