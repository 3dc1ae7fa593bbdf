"""What the diffusion family minimises: sigmoid-weighted squared errors, of the truth and of the teacher.

    E9    L_GT   = w(t) ‖F_(N,L)(x_t) − x_0‖²
    E10   L_dist = w(t) ‖F_(N,L_max)(x_t) − F_(N,L_int)(x_t)‖²
    w(t) = (−dλ/dt) e^b sigmoid(λ − b)      on x0, with λ = log-SNR and t uniform

The same t, noise and weight serve teacher and student. A network that predicts ε or v is weighed so that the loss is
the same function of its x0: ‖x̂ − x‖² = e^−λ ‖ε̂ − ε‖² = sigmoid(−λ) ‖v̂ − v‖², so ε has e^b sigmoid(λ − b) e^−λ =
sigmoid(b − λ) and v has e^b sigmoid(λ − b) sigmoid(−λ). No factor ½. Both are means over a sample's values
(``"mean_per_sample"``, the default of the codes) or sums (``"sum"``, as printed), then means over the batch.

Source: SiD2 and hackable_diffusion.
"""

import numpy as np
from jaxtyping import Float

from elt_ref.arrays import Array
from elt_ref.config import DiffusionConfig
from elt_ref.generation import log_snr, log_snr_derivative
from elt_ref.ops import weighted_squared_error


def loss_weight(time: Float[np.ndarray, " batch"], diffusion: DiffusionConfig) -> Float[np.ndarray, " batch"]:
    """Return w(t) for the configured prediction, float64.

    Args:
        time: t in [0, 1].
        diffusion: schedule, bias b, prediction, and whether −dλ/dt is a factor.
    """
    snr = log_snr(time, diffusion)
    bias = diffusion.bias
    log_weight = {
        "x0": bias - np.logaddexp(0, bias - snr),
        "epsilon": -np.logaddexp(0, snr - bias),
        "v": bias - np.logaddexp(0, bias - snr) - np.logaddexp(0, snr),
    }[diffusion.prediction]
    factor = -log_snr_derivative(time, diffusion) if diffusion.weight_derivative else 1.0
    return factor * np.exp(log_weight)


def _sample_weights(time: np.ndarray, values: int, reduction: str, diffusion: DiffusionConfig) -> np.ndarray:
    weights = loss_weight(time, diffusion) / len(time)
    return weights / values if reduction == "mean_per_sample" else weights


def diffusion_ground_truth(
    prediction: Float[Array, "batch height width channels"],
    target: Float[np.ndarray, "batch height width channels"],
    time: Float[np.ndarray, " batch"],
    *,
    diffusion: DiffusionConfig,
    reduction: str = "mean_per_sample",
) -> Float[Array, ""]:
    """E9: weighted squared error of a prediction with its target (x0, ε or v as configured)."""
    weights = _sample_weights(time, target[0].size, reduction, diffusion)
    return weighted_squared_error(prediction, target, weights.astype(target.dtype))


def diffusion_distillation(
    student: Float[Array, "batch height width channels"],
    teacher: Float[Array, "batch height width channels"],
    time: Float[np.ndarray, " batch"],
    *,
    diffusion: DiffusionConfig,
    reduction: str = "mean_per_sample",
) -> Float[Array, ""]:
    """E10: weighted squared error of the student's prediction with the teacher's, whose gradient the caller stops."""
    weights = _sample_weights(time, student[0].size, reduction, diffusion)
    return weighted_squared_error(student, teacher, weights.astype(student.dtype))
