"""Mistakes in counts and measures."""

import math
from typing import Any

import numpy as np

from elt_ref.arrays import tree_items
from elt_ref.conformance.backend import Tensors
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.measure.frechet import Gaussian, fit_gaussian, frechet_distance
from elt_ref.measure.inception_score import inception_score
from elt_ref.model import declare_parameters
from elt_ref.ops import log_softmax
from specs.making.wrong.altered import Altered, instead


def _macs(model: Any, loops: int, *, class_token: bool = True, attention: bool = True) -> np.ndarray:
    """Return the looped multiply-adds of a forward pass, perhaps with a part left out."""
    if model.get("family") == "diffusion":
        tokens = math.prod(model["shape"][:2]) // model["patch_size"] ** 2
    else:
        tokens = math.prod(model["grid"]) + class_token
    width = model["width"]
    layer = tokens * (4 * width * width + 2 * width * model["mlp_width"]) + 2 * attention * tokens * tokens * width
    return np.asarray(model["layers"] * loops * layer)


class MacsWithoutAttention(ReferenceBackend):
    """Scores and values of the attention, 2 n² d, are not counted: the only way to the paper's 3.7k."""

    def count(self, *, model, loops) -> Tensors:
        return {**super().count(model=model, loops=loops), "looped_macs": _macs(model, loops, attention=False)}


class MacsWithoutClassToken(ReferenceBackend):
    """The class token of the masked family is not counted among the tokens."""

    def count(self, *, model, loops) -> Tensors:
        return {**super().count(model=model, loops=loops), "looped_macs": _macs(model, loops, class_token=False)}


class MacsOfOneLoop(ReferenceBackend):
    """The work of the block is counted once, regardless of loops."""

    def count(self, *, model, loops) -> Tensors:
        return {**super().count(model=model, loops=loops), "looped_macs": _macs(model, 1)}


class MacsAsFlops(ReferenceBackend):
    """A multiply-add is counted as two."""

    def count(self, *, model, loops) -> Tensors:
        return {**super().count(model=model, loops=loops), "looped_macs": 2 * _macs(model, loops)}


def _kernels(config: Any, prefix: str = "") -> int:
    declared = tree_items(declare_parameters(config))
    return sum(
        math.prod(parameter.shape)
        for name, parameter in declared
        if name.startswith(prefix) and len(parameter.shape) > 1
    )


class ParametersWithoutBiases(Altered, ReferenceBackend):
    """Biases and norms are not counted."""

    changes = instead("measure.count", parameter_count=_kernels)


class ParametersOfEveryLoop(ReferenceBackend):
    """The block is counted once per loop: the size of the unrolled network."""

    def count(self, *, model, loops) -> Tensors:
        counted = super().count(model=model, loops=loops)
        more = (loops - 1) * counted["looped_parameters"]
        return {name: value + more if name.endswith("parameters") else value for name, value in counted.items()}


def _biased(features: Any) -> Gaussian:
    gaussian = fit_gaussian(features)
    return gaussian._replace(covariance=gaussian.covariance * (1 - 1 / len(features)))


class FrechetOfBiasedCovariance(Altered, ReferenceBackend):
    """Covariances divide by the count (ddof 0)."""

    changes = instead("measure.frechet", fit_gaussian=_biased)


def _uncrossed(first: Gaussian, second: Gaussian) -> float:
    offset = first.mean - second.mean
    return float(offset @ offset + np.trace(first.covariance) + np.trace(second.covariance))


class FrechetWithoutCrossTerm(Altered, ReferenceBackend):
    """The trace of the root of Σ₁ Σ₂ is missing."""

    changes = instead("measure.frechet", frechet_distance=_uncrossed)


class FrechetRooted(Altered, ReferenceBackend):
    """The result is the distance instead of its square."""

    changes = instead("measure.frechet", frechet_distance=lambda *both: math.sqrt(max(0.0, frechet_distance(*both))))


def _diagonal(first: Gaussian, second: Gaussian) -> float:
    one, two = (np.diag(np.diag(gaussian.covariance)) for gaussian in (first, second))
    return frechet_distance(first._replace(covariance=one), second._replace(covariance=two))


class FrechetOfVariances(Altered, ReferenceBackend):
    """Only the variances of the features are compared, not their covariances."""

    changes = instead("measure.frechet", frechet_distance=_diagonal)


class InceptionScoreOfWhole(Altered, ReferenceBackend):
    """The score covers the whole set instead of the mean over its splits."""

    changes = instead("measure.inception_score", inception_score=lambda logits, _splits: inception_score(logits, 1))


def _scores(logits: Any, splits: int, score: Any) -> float:
    edges = [i * len(logits) // splits for i in range(1, splits)]
    return float(np.mean([score(part) for part in np.split(np.exp(log_softmax(logits)), edges)]))


def _wrong_axis(given: np.ndarray) -> float:
    entropy = -(given.mean(axis=1) * np.log(given.mean(axis=1))).sum()
    return float(np.exp(entropy + (given * np.log(given)).sum(axis=1).mean()))


class InceptionScoreOfWrongAxis(Altered, ReferenceBackend):
    """The average prediction runs over the classes instead of the samples."""

    changes = instead(
        "measure.inception_score", inception_score=lambda logits, splits: _scores(logits, splits, _wrong_axis)
    )


def _exp_first(given: np.ndarray) -> float:
    return float(np.exp((given * np.log(given / given.mean(axis=0))).sum(axis=1)).mean())


class InceptionScoreExpFirst(Altered, ReferenceBackend):
    """The exponential is applied to every sample's divergence, before the mean."""

    changes = instead(
        "measure.inception_score", inception_score=lambda logits, splits: _scores(logits, splits, _exp_first)
    )
