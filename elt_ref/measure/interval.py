"""95 % intervals over seeds: Student's t, of a mean, or of a ratio through its logarithm.

    mean ± t(0.975, n − 1) s / √n,     s² with n − 1

Student's t and not the bootstrap, because resampling three to five seeds gives intervals that are too narrow. It takes
the values of different seeds as independent and about normal; a ratio is taken as about log-normal, so its interval is
never negative and the inverse ratio has the inverse interval. Both sides of a ratio have the same seeds, and each seed
gives one ratio: what the seed does to both sides cancels.
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

LEVEL = 0.95
"""Coverage of an interval."""
MIN_SEEDS = 3
"""Fewer seeds decide nothing."""
NAME = (
    f"{LEVEL:.0%} intervals: Student's t over seeds; distances, losses and ratios through their logarithms, with "
    "geometric means; ratios paired by seed. Each stands alone: of many, one in forty lies on a wrong side by chance"
)


class Interval(NamedTuple):
    """A mean over seeds and its interval."""

    mean: float
    """Mean; of ratios, the geometric one. NaN where a training diverged."""
    low: float
    high: float
    seeds: int
    """Number of seeds."""


def t_interval(values: Float[np.ndarray, " seeds"]) -> Interval:
    """Return mean and interval of values, one a seed; one value has an endless interval."""
    count, mean = len(values), float(np.mean(values))
    if count < 2:
        return Interval(mean, -math.inf, math.inf, count)
    half = t_quantile((1 + LEVEL) / 2, count - 1) * float(np.std(values, ddof=1)) / math.sqrt(count)
    return Interval(mean, mean - half, mean + half, count)


def ratio_interval(over: Float[np.ndarray, " seeds"], under: Float[np.ndarray, " seeds"]) -> Interval:
    """Return the geometric mean of ``over / under``, paired by seed, and its interval. Values are positive."""
    with np.errstate(divide="ignore", invalid="ignore"):  # a share of zero has no logarithm; nothing is decided then
        logarithms = t_interval(np.log(over) - np.log(under))
    return Interval(_exp(logarithms.mean), _exp(logarithms.low), _exp(logarithms.high), logarithms.seeds)


def positive_interval(values: Float[np.ndarray, " seeds"]) -> Interval:
    """Return the geometric mean of values that are positive, one a seed, and its interval, which is positive as well.

    Where a value is not positive, or a training diverged, the interval is `t_interval`'s.
    """
    return ratio_interval(values, np.ones(len(values))) if (values > 0).all() else t_interval(values)


def share_interval(values: Float[np.ndarray, " seeds"]) -> Interval:
    """Return mean and interval of shares, one a seed; the ends are between 0 and 1 as shares are."""
    interval = t_interval(values)
    return interval._replace(low=max(0.0, interval.low), high=min(1.0, interval.high))


KINDS = {
    **dict.fromkeys(("frechet_distance", "held_out_loss", "loss_over_ilsd"), positive_interval),
    **dict.fromkeys(("label_accuracy", "motion_accuracy", "valid_share"), share_interval),
}
"""Measures whose seeds differ by factors rather than by amounts, and those from 0 to 1."""


def interval_of(measure: str, values: Float[np.ndarray, " seeds"]) -> Interval:
    """Return mean and interval of a measure's values, one a seed, in the way that suits the measure."""
    return KINDS.get(measure, t_interval)(values)


def _exp(value: float) -> float:
    return math.inf if value >= 700 else math.exp(value)


@cache
def t_quantile(probability: float, freedom: int) -> float:
    """Return the quantile of Student's t distribution with `freedom` degrees of freedom, for a probability above ½.

    With t = √f tan θ, its distribution is ½ + ∫₀^θ cos^(f−1) / ∫ cos^(f−1) over the whole half circle.
    """
    low, high = 0.0, math.pi / 2
    whole = 2 * _cosine_power(high, freedom - 1)
    for _ in range(60):
        middle = (low + high) / 2
        below = 0.5 + _cosine_power(middle, freedom - 1) / whole < probability
        low, high = (middle, high) if below else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def _cosine_power(angle: float, power: int) -> float:
    """Return ∫₀^angle cos^power, by Gauss and Legendre."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    return float(angle / 2 * weights @ np.cos(angle / 2 * (nodes + 1)) ** power)
