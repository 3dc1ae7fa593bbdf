"""Fréchet distance between Gaussians fitted to two sets of features.

    d² = ‖μ₁ − μ₂‖² + Tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½)

Over Inception features it is the FID. The trace of the root is taken in its symmetric form,
Σ √eig(Σ₁^½ Σ₂ Σ₁^½), which is never complex and needs no regulariser. Covariances divide by count − 1.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from elt_ref.errors import RequestError


class Gaussian(NamedTuple):
    """Mean and covariance of features, float64."""

    mean: Float[np.ndarray, " features"]
    covariance: Float[np.ndarray, "features features"]


def fit_gaussian(features: Float[np.ndarray, "count features"]) -> Gaussian:
    """Return mean and covariance (ddof 1), in float64.

    Raises:
        RequestError: fewer than two samples, or NaN among the features.
    """
    if features.ndim != 2 or len(features) < 2:
        raise RequestError(f"features: expected shape [count ≥ 2, features], got {list(features.shape)}")
    if not np.isfinite(features).all():
        raise RequestError("features: expected finite numbers, got NaN or infinity")
    features = features.astype(np.float64)
    return Gaussian(features.mean(axis=0), np.atleast_2d(np.cov(features, rowvar=False, ddof=1)))


def frechet_distance(first: Gaussian, second: Gaussian) -> float:
    """Return d² between two Gaussians, ≥ 0 up to rounding; covariances may be singular."""
    values, vectors = np.linalg.eigh(first.covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    root_trace = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second.covariance @ root), 0)).sum()
    offset = first.mean - second.mean
    return float(offset @ offset + np.trace(first.covariance) + np.trace(second.covariance) - 2 * root_trace)
