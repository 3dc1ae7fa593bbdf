"""What can be said of a network and its pictures in numbers."""

from elt_ref.measure.count import Count, count, forwards_per_sample, parameter_count
from elt_ref.measure.feature_network import Judgement, judge, load_feature_network
from elt_ref.measure.frechet import Gaussian, fit_gaussian, frechet_distance
from elt_ref.measure.inception_score import inception_score

__all__ = [
    "Count",
    "Gaussian",
    "Judgement",
    "count",
    "fit_gaussian",
    "forwards_per_sample",
    "frechet_distance",
    "inception_score",
    "judge",
    "load_feature_network",
    "parameter_count",
]
