"""The drifting family's objective: a field moves generated samples towards real ones, and the network follows it.

    D1   S = mean ‖x_i − y_j‖ / √D                                          over all pairs but a sample with itself
    D2   W = √(softmax_y(ℓ) · softmax_x(ℓ)),   ℓ_ij = −‖x_i − y_j‖ / (S √D τ)
    D3   V_τ(x_i) = (s⁻_i Σ_j W⁺_ij y⁺_j − s⁺_i Σ_j W⁻_ij y⁻_j) / S,   s^±_i = Σ_j W^±_ij
    D4   V = Σ_τ V_τ / rms(V_τ)
    D5   L_GT   = ‖x / S − sg(x / S + V)‖²
    D6   L_dist = ‖x_student − sg(x_teacher)‖² / S²,   S of the teacher's samples

x are the samples that the network generated for one class; y⁺ are real samples of it, the positives; y⁻ the negatives,
again the generated samples, of which none is its own. y are all of them. V is anti-symmetric in positives and
negatives, so it is zero where both are distributed alike. It is a constant: gradients flow through x alone. Teacher and
student have a field each, of their own samples. Both losses are means over a sample's D values (``"mean_per_sample"``)
or sums (``"sum"``), then means over the batch.

Source: Deng, Li, Li, Du and He, Generative Modeling via Drifting (arXiv 2602.04770), equations 6 to 12 and 18 to 26,
algorithm 2. S and the root mean square are of one class here, as classes differ in spread. The field is float64.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from elt_ref.arrays import Array
from elt_ref.config import DriftingConfig, DriftingExperiment
from elt_ref.errors import RequestError
from elt_ref.objective.draws import Batch, DriftingDraws, check_classes
from elt_ref.ops import constant, softmax, weighted_squared_error

Samples = Float[np.ndarray, "batch height width channels"]
Prediction = Float[Array, "batch height width channels"]


class Field(NamedTuple):
    """The field at samples of one class."""

    drift: Float[np.ndarray, "queries values"]
    """V, in units of S; float64 or wider."""
    scale: Any
    """S"""
    sizes: Float[np.ndarray, " temperatures"]
    """Root mean square of each V_τ before the division."""


def drift_field(
    queries: Float[np.ndarray, "queries values"],
    positives: Float[np.ndarray, "positives values"],
    negatives: Float[np.ndarray, "negatives values"] | None = None,
    *,
    temperatures: tuple[float, ...],
) -> Field:
    """D4: return the field at the queries, which points to the positives and away from the negatives.

    Args:
        queries: where the field is wanted; at least 2.
        positives: real samples.
        negatives: generated samples; by default the queries themselves, of which none is its own negative.
        temperatures: τ of each kernel, in units of the mean distance.
    """
    wide = np.promote_types(queries.dtype, np.float64)
    queries, positives = queries.astype(wide), positives.astype(wide)
    own = negatives is None
    negatives = queries if own else negatives.astype(wide)
    distances = np.concatenate([_distances(queries, negatives), _distances(queries, positives)], axis=1)
    left_out = np.eye(*distances.shape, dtype=bool) & own
    scale = unit_of_distance(distances[~left_out], queries.shape[1])
    drift, sizes = np.zeros_like(queries), []
    for temperature in temperatures:
        reach = temperature * math.sqrt(queries.shape[1]) * scale
        weights = affinities(np.where(left_out, -np.inf, -distances / reach))
        field = field_at(weights, negatives, positives, scale)
        sizes.append(np.sqrt(np.square(field).mean()))
        drift += field / max(sizes[-1], np.finfo(np.float64).tiny)  # no floor, but 0 where the field is
    return Field(drift, scale, np.array(sizes))


def unit_of_distance(distances: Float[np.ndarray, " pairs"], values: int) -> Any:
    """D1: return S, in which the mean of the distances of samples of so many values is √values."""
    return distances.mean() / math.sqrt(values)


def affinities(logits: Float[np.ndarray, "queries others"]) -> Float[np.ndarray, "queries others"]:
    """D2: return W, the geometric mean of a softmax over the others and one over the queries; −∞ is left out."""
    return np.sqrt(softmax(logits) * softmax(logits.T).T)


def field_at(
    weights: Float[np.ndarray, "queries others"],
    negatives: Float[np.ndarray, "negatives values"],
    positives: Float[np.ndarray, "positives values"],
    scale: Any,
) -> Float[np.ndarray, "queries values"]:
    """D3: return V_τ in units of S, of affinities with the negatives, then the positives."""
    repelling, attracting = np.split(weights, [len(negatives)], axis=1)
    attraction = repelling.sum(axis=1, keepdims=True) * (attracting @ positives)
    repulsion = attracting.sum(axis=1, keepdims=True) * (repelling @ negatives)
    return (attraction - repulsion) / scale


def _distances(
    x: Float[np.ndarray, "queries values"], y: Float[np.ndarray, "others values"]
) -> Float[np.ndarray, "queries others"]:
    # By differences: ‖x‖² + ‖y‖² − 2 x·y loses half the digits of small distances.
    difference = x[:, None] - y[None]
    return np.sqrt(np.einsum("qod,qod->qo", difference, difference))


class DriftingTarget(NamedTuple):
    """Real samples to drift to, and the losses of generated ones."""

    positives: Float[np.ndarray, "classes positives height width channels"]
    """Real samples of each class; the generated samples come in as many equal groups, in the same order."""
    drifting: DriftingConfig
    """Temperatures."""
    reduction: str = "mean_per_sample"
    """``"mean_per_sample"`` or ``"sum"``."""

    def ground_truth(self, prediction: Prediction) -> Float[Array, ""]:
        """D5: squared distance of generated samples to where their own field moves them, in units of S."""
        samples = constant(prediction)
        fields = self.fields(samples)
        moves = np.stack([field.scale * field.drift for field in fields]).reshape(samples.shape)
        target = (samples + moves).astype(samples.dtype)
        return weighted_squared_error(prediction, target, self._weights(fields, samples))

    def distillation(self, student: Prediction, teacher: Prediction) -> Float[Array, ""]:
        """D6: squared distance of the student's samples to the teacher's, in units of the S of the teacher's.

        The caller stops the teacher's gradient.
        """
        samples = constant(teacher)
        return weighted_squared_error(student, teacher, self._weights(self.fields(samples), samples))

    def fields(self, samples: Samples) -> list[Field]:
        """Return the field of each class at its samples."""
        groups = samples.reshape(len(self.positives), -1, samples[0].size)
        real = self.positives.reshape(*self.positives.shape[:2], -1)
        temperatures = self.drifting.temperatures
        return [drift_field(*pair, temperatures=temperatures) for pair in zip(groups, real, strict=True)]

    def _weights(self, fields: list[Field], samples: Samples) -> Float[np.ndarray, " batch"]:
        scales = np.repeat([field.scale for field in fields], len(samples) // len(fields))
        values = samples[0].size if self.reduction == "mean_per_sample" else 1
        return (1 / (np.square(scales) * len(samples) * values)).astype(samples.dtype)


def pair_drifting(
    config: DriftingExperiment, batch: Batch, draws: DriftingDraws
) -> tuple[tuple[Samples, Int[np.ndarray, " batch"]], DriftingTarget]:
    """Return the network's inputs (noise, and the class of each sample) and the real samples to drift to.

    Raises:
        RequestError: samples, labels or noise of another dtype, shape or range.
    """
    model, positives = config.model, batch.examples
    if not np.issubdtype(positives.dtype, np.floating) or positives.ndim != 5 or positives.shape[2:] != model.shape:
        raise RequestError(
            f"examples: expected floating-point samples [classes, positives, {', '.join(map(str, model.shape))}], "
            f"got {positives.dtype} of shape {list(positives.shape)}"
        )
    if not np.isfinite(positives).all():
        raise RequestError(f"examples: expected finite numbers, got {positives[~np.isfinite(positives)][0]}")
    check_classes(batch.labels, len(positives), model)
    each, rest = divmod(len(draws.noise), len(positives))
    if rest or each < 2:
        raise RequestError(
            f"noise: expected as many samples of each of {len(positives)} classes, at least 2, got {len(draws.noise)}"
        )
    inputs = draws.noise, np.repeat(batch.labels.astype(np.int64), each)
    return inputs, DriftingTarget(positives, config.drifting, config.objective.reduction)
