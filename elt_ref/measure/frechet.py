"""Fréchet distance between Gaussians fitted to two sets of features.

    d² = ‖μ₁ − μ₂‖² + Tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½)

Over Inception features it is the FID. The trace of the root is the sum of the singular values of Σ₁^½ Σ₂^½, which is
never complex and needs no regulariser. The eigenvalues of a singular covariance that are zero but for rounding are cut:
their roots would be far larger. Covariances divide by count − 1.
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
    """Return d² between two Gaussians, ≥ 0; covariances may be singular."""
    roots = _root(first.covariance), _root(second.covariance)
    root_trace = np.linalg.svd(roots[0] @ roots[1], compute_uv=False).sum()
    offset = first.mean - second.mean
    spread = np.trace(first.covariance) + np.trace(second.covariance) - 2 * root_trace
    return float(offset @ offset + max(spread, 0.0))


def _root(covariance: Float[np.ndarray, "features features"]) -> Float[np.ndarray, "features features"]:
    """Return the symmetric root; eigenvalues below n ε times the greatest count as zero."""
    values, vectors = np.linalg.eigh(covariance)
    cut = len(values) * np.finfo(values.dtype).eps * values.max()
    return (vectors * np.sqrt(np.where(values > cut, values, 0))) @ vectors.T
