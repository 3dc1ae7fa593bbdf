"""The error of an answer: one number per case, independent of the sizes of arrays.

error = max over outputs of max|a − b| / scale,  scale = max(‖b‖∞, a thousandth of the largest ‖b‖∞ of the case)

The second term keeps the rounding of an output near zero, such as the gradient of a bias before a norm, from counting
as an error. Integers and booleans must be equal. Random draws must be uniform and
independent: a right implementation fails at most once in a million questions.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

SHARE = 1e-3
"""Smallest scale of an output, relative to the case's largest output."""


def mismatch(answer: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray], dtype: str | None) -> str | None:
    """Return what is wrong with the form of an answer, in words, or None.

    Args:
        answer: the backend's answer.
        right: the right answer.
        dtype: required dtype of floats; None accepts any.
    """
    if set(answer) != set(right):
        missing, extra = sorted(set(right) - set(answer)), sorted(set(answer) - set(right))
        got = [f"none of {', '.join(missing[:3])}"] * bool(missing) + [f"also {', '.join(extra[:3])}"] * bool(extra)
        return f"expected the outputs {', '.join(list(right)[:6])}, got {' and '.join(got)}"
    for name, value in right.items():
        actual = np.asarray(answer[name])
        if actual.shape != value.shape:
            return f"expected '{name}' of shape {list(value.shape)}, got {list(actual.shape)}"
        kind, wanted = actual.dtype, value.dtype
        if np.issubdtype(wanted, np.floating):
            if not np.issubdtype(kind, np.floating) or (dtype is not None and kind != dtype):
                return f"expected '{name}' in {dtype or 'floating point'}, got {kind}"
            if not np.isfinite(actual).all():
                return f"expected finite numbers in '{name}', got {actual[~np.isfinite(actual)].ravel()[0]}"
        elif not np.issubdtype(kind, np.integer if np.issubdtype(wanted, np.integer) else np.bool_):
            return f"expected '{name}' as {wanted}, got {kind}"
    return None


def difference(
    operation: str, settings: Mapping[str, Any], answer: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray]
) -> tuple[float, str]:
    """Return the error of a well-formed answer, and the output with the largest error."""
    if operation == "student_draws":
        drawn = np.asarray(answer["loops"])
        fair = are_fair(drawn, settings["min_loops"], settings["max_loops"])
        return (0.0 if fair else math.inf), "loops"
    return error(answer, right)


NEAR = 16
"""Distances at which every pair of values must come up as often as another."""
ERROR_RATE = 1e-6
"""Share of right implementations that a question about random draws refuses, at most."""


def are_fair(drawn: np.ndarray, lowest: int, beyond: int) -> bool:
    """Return whether integers can be independent uniform draws from lowest … beyond − 1.

    Every value must come up as often as the others, draws at each distance up to half of the sequence must be equal as
    often as independent ones, and every pair of values must come up as often as the others at small distances. Each of
    these counts is binomial, and Chernoff's bound holds for every length.
    """
    values, number = beyond - lowest, len(drawn)
    if drawn.min() < lowest or drawn.max() >= beyond:
        return False
    if values == 1:
        return True
    counts = np.bincount(drawn - lowest, minlength=values)
    distances = np.arange(1, number // 2 + 1)
    equal = np.array([np.count_nonzero(drawn[distance:] == drawn[:-distance]) for distance in distances])
    pairs, of_pairs = _pairs(drawn - lowest, values)
    counted = np.concatenate([counts, equal, pairs])
    trials = np.concatenate([np.full(values, number), number - distances, of_pairs])
    chance = np.repeat([1 / values, 1 / values**2], [values + len(distances), len(pairs)])
    return bool((trials * _divergence(counted / trials, chance) <= math.log(2 * len(trials) / ERROR_RATE)).all())


def _pairs(drawn: np.ndarray, values: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how often each pair of values comes up at each small distance, and among how many pairs.

    No draw is in two pairs of one count, so pairs of independent draws are independent.
    """
    counts, trials = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for distance in range(1, min(NEAR, len(drawn) // 4) + 1):
        places = np.arange(len(drawn) - distance)
        for odd in (0, 1):
            first = places[places // distance % 2 == odd]
            counts.append(np.bincount(drawn[first] * values + drawn[first + distance], minlength=values**2))
            trials.append(np.full(values**2, len(first)))
    return np.concatenate(counts), np.concatenate(trials)


def _divergence(share: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return the relative entropy of a coin with one probability to a coin with another."""
    inner = np.clip(share, 1e-300, 1 - 1e-16)
    return inner * np.log(inner / expected) + (1 - inner) * np.log((1 - inner) / (1 - expected))


def error(answer: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray]) -> tuple[float, str]:
    """Return the error of a well-formed answer, and its output; infinite if an exact output differs."""
    sizes = {name: float(np.abs(value).max(initial=0)) for name, value in right.items() if _floating(value)}
    floor = SHARE * max(sizes.values(), default=0.0)
    worst, where, tiny = 0.0, next(iter(right)), float(np.finfo(np.float64).tiny)
    for name, value in right.items():
        actual = np.asarray(answer[name])
        if not _floating(value):
            distance = 0.0 if np.array_equal(actual, value) else np.inf
        else:
            largest = float(np.abs(actual.astype(value.dtype) - value).max(initial=0))
            distance = largest / max(sizes[name], floor, tiny)
        if distance > worst:
            worst, where = distance, name
    return worst, where


def departure(answer: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray]) -> float:
    """Return the distance of a well-formed answer: the error of its floats plus the mean distance of exact outputs."""
    floats = {name: value for name, value in right.items() if _floating(value)}
    exact = (np.abs(np.asarray(answer[name], float) - right[name]).mean() for name in right if name not in floats)
    return (error(answer, floats)[0] if floats else 0.0) + float(sum(exact))


def _floating(array: np.ndarray) -> bool:
    return np.issubdtype(np.asarray(array).dtype, np.floating)
