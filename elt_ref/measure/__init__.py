"""Numbers that describe a network and its pictures: counts, distances, scores."""

from elt_ref.measure.count import Count, count, forwards_per_sample, parameter_count
from elt_ref.measure.feature_network import Classification, classify, load_feature_network
from elt_ref.measure.frechet import Gaussian, fit_gaussian, frechet_distance
from elt_ref.measure.inception_score import inception_score
from elt_ref.measure.interval import Interval, interval_of, t_interval
from elt_ref.measure.nearest import nearest_distances

__all__ = [
    "Classification",
    "Count",
    "Gaussian",
    "Interval",
    "classify",
    "count",
    "fit_gaussian",
    "forwards_per_sample",
    "frechet_distance",
    "inception_score",
    "interval_of",
    "load_feature_network",
    "nearest_distances",
    "parameter_count",
    "t_interval",
]
