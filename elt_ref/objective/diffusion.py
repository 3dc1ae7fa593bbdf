"""The diffusion family's objective: a batch is noised once, and the network learns to predict x0 (or ε, or v).

    E9    L_GT   = w(t) ‖F_(N,L)(x_t) − x_0‖²
    E10   L_dist = w(t) ‖F_(N,L_max)(x_t) − F_(N,L_int)(x_t)‖²
    w(t) = (−dλ/dt) e^b sigmoid(λ − b)      on x0, with λ = log-SNR and t uniform

Teacher and student share t, noise and weight. Where the network predicts ε or v, the weight makes the loss the same
function of its x0: ‖x̂ − x‖² = e^−λ ‖ε̂ − ε‖² = sigmoid(−λ) ‖v̂ − v‖², so ε has e^b sigmoid(λ − b) e^−λ =
sigmoid(b − λ) and v has e^b sigmoid(λ − b) sigmoid(−λ). No factor ½. Both losses are means over a sample's values
(``"mean_per_sample"``, the default of the codes) or sums (``"sum"``, as printed), then means over the batch.

Source: SiD2 and hackable_diffusion.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from elt_ref.arrays import Array
from elt_ref.config import DiffusionConfig, DiffusionExperiment
from elt_ref.errors import RequestError
from elt_ref.model import add_noise, prediction_target
from elt_ref.objective.draws import Batch, DiffusionDraws, check_classes, drop_labels
from elt_ref.ops import weighted_squared_error
from elt_ref.schedules import log_snr, log_snr_derivative

Samples = Float[np.ndarray, "batch height width channels"]
Prediction = Float[Array, "batch height width channels"]


class DiffusionTarget(NamedTuple):
    """The quantity to predict, and the losses of a prediction of it."""

    target: Samples
    """x0, ε or v, as configured."""
    time: Float[np.ndarray, " batch"]
    """t in [0, 1], which sets the weight."""
    diffusion: DiffusionConfig
    """Noise schedule, bias and kind of prediction."""
    reduction: str = "mean_per_sample"
    """``"mean_per_sample"`` or ``"sum"``."""

    def ground_truth(self, prediction: Prediction) -> Float[Array, ""]:
        """E9: weighted squared error of a prediction with its target."""
        return weighted_squared_error(prediction, self.target, self.weights(self.target.dtype))

    def distillation(self, student: Prediction, teacher: Prediction) -> Float[Array, ""]:
        """E10: weighted squared error of the student's prediction with the teacher's; the caller stops its gradient."""
        return weighted_squared_error(student, teacher, self.weights(student.dtype))

    def weights(self, dtype: np.dtype) -> Float[np.ndarray, " batch"]:
        """Return each sample's weight in the loss."""
        weights = loss_weight(self.time, self.diffusion) / len(self.time)
        return (weights / self.target[0].size if self.reduction == "mean_per_sample" else weights).astype(dtype)


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


def corrupt_diffusion(
    config: DiffusionExperiment, batch: Batch, draws: DiffusionDraws
) -> tuple[tuple[Samples, Float[np.ndarray, " batch"], Int[np.ndarray, " batch"]], DiffusionTarget]:
    """Return the network's inputs (noisy samples, times, labels, some dropped) and what it should predict.

    Raises:
        RequestError: samples or labels of another dtype, shape or range.
    """
    model, objective, diffusion, examples = config.model, config.objective, config.diffusion, batch.examples
    if not np.issubdtype(examples.dtype, np.floating) or examples.shape[1:] != model.shape:
        raise RequestError(
            f"examples: expected floating-point samples of shape {list(model.shape)}, "
            f"got {examples.dtype} of shape {list(examples.shape[1:])}"
        )
    if not np.isfinite(examples).all():
        raise RequestError(f"examples: expected finite numbers, got {examples[~np.isfinite(examples)][0]}")
    check_classes(batch.labels, len(examples), model)
    labels = drop_labels(
        batch.labels, draws.label_drop, rate=objective.label_drop_rate, unconditional=model.unconditional_class
    )
    snr = log_snr(draws.time, diffusion)
    noisy = add_noise(examples, draws.noise, snr)
    target = prediction_target(diffusion.prediction, examples, draws.noise, snr)
    return (noisy, draws.time, labels), DiffusionTarget(target, draws.time, diffusion, objective.reduction)
