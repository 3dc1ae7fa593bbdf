"""How good drawn digits are, by the small classifier that ships with them: see chapter 11 for what the figures mean."""

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from small_models import digits, pictures_drawn

import tiny_datasets
from elt_ref.measure import Gaussian, classify, fit_gaussian, frechet_distance, load_feature_network


class Quality(NamedTuple):
    """Three figures for a set of digits."""

    distance: float
    """Fréchet distance from the training digits; lower is better."""
    accuracy: float
    """Share that the classifier takes for the class asked."""
    spread: float
    """Standard deviation of a pixel among digits of one class, a mean over pixels and classes."""


@cache
def network() -> Any:
    """Return the classifier's weights."""
    return load_feature_network(Path(tiny_datasets.__file__).parent / "digits" / "feature_network.safetensors")


@cache
def real() -> Gaussian:
    """Return mean and covariance of the training digits' features."""
    return fit_gaussian(classify(network(), digits().train.examples / digits().white).features)


def quality_of(pictures: np.ndarray, labels: np.ndarray) -> Quality:
    """Return the figures of digits [count, 8, 8, 1] in [0, 1] that should be of these classes."""
    found = classify(network(), np.float32(pictures))
    within = [pictures[labels == each].reshape(-1, 64).std(axis=0).mean() for each in np.unique(labels)]
    return Quality(
        frechet_distance(real(), fit_gaussian(found.features)),
        float((found.logits.argmax(axis=1) == labels).mean()),
        float(np.mean(within)),
    )


def quality(page: Any, parameters: Any, loops: int, count: int = 500, **options: Any) -> Quality:
    """Draw `count` digits of all classes in turn with a trained page, and return their figures."""
    labels = np.arange(count) % 10
    return quality_of(pictures_drawn(page, parameters, labels, loops, **options), labels)
