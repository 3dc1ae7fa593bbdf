"""Interleaved times of two sides: A B, B A, A B, …; only one works at a time, so both meet the same noise."""

import statistics
import time
from collections.abc import Sequence

import numpy as np

from elt_ref.bench.worker import Timed, Worker
from elt_ref.errors import TrainingError

WARM_UP = 8
"""Untimed repetitions at the start: every batch once, so that everything is compiled and allocated."""
COMPARED = 3
"""Number of warm-up repetitions whose answers are compared; from the second on they depend on the optimizer."""
TOLERANCE = 2e-5
"""Largest difference between two answers, relative to their largest number; the ports stay within 1e-6."""
TOKENS_MAY_DIFFER = 0.02
"""Share of sampled tokens that may differ, because rounding decides a close draw."""
PAUSE = 0.2
"""Seconds between repetitions on several threads: OpenBLAS threads spin for half as long after a product."""
MOST_CORES = 1.5
"""Largest processor time ÷ wall time for each requested thread: a thread too many has 2, a framework's own some 1.2."""


class DisagreementError(TrainingError):
    """Two sides gave different answers, or one used too many threads, so there is no comparison. Exit code 1."""


def check_agreement(ours: np.ndarray, theirs: np.ndarray, where: str) -> None:
    """Raise `DisagreementError` unless two answers agree as float32 results of the same work."""
    if ours.shape != theirs.shape:
        raise DisagreementError(f"{where}: expected answers of one shape, got {ours.shape} and {theirs.shape}")
    apart = np.abs(ours - theirs) > TOLERANCE * np.abs(ours).max()
    permitted = TOKENS_MAY_DIFFER if np.issubdtype(ours.dtype, np.integer) else 0
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()) or apart.mean() > permitted:
        at = int(np.argmax(np.abs(ours - theirs)))
        got = f"{ours[at]:.6g} and {theirs[at]:.6g} at {at}, with {apart.mean():.1%} apart"
        raise DisagreementError(f"{where}: expected the same answer within {TOLERANCE:g} of its largest, got {got}")


def warm_up(sides: Sequence[Worker], repetitions: int = WARM_UP) -> None:
    """Repeat without timing, and compare the answers of every side with the first side's.

    Raises:
        DisagreementError: they differ.
    """
    for index in range(repetitions):
        answers = [side.run(index, answer=index < COMPARED).answer for side in sides]
        for side, answer in zip(sides[1:], answers[1:], strict=True):
            if answers[0] is not None and answer is not None:
                where = f"bench, {side.job.work}, {sides[0].job.side} and {side.job.side}, repetition {index}"
                check_agreement(answers[0], answer, where)


def interleave(sides: Sequence[Worker], pairs: int) -> list[list[float]]:
    """Return the seconds of `pairs` rounds, for each side; every round reverses the order of the round before.

    With an even number of pairs each side follows itself as often as it follows the other, so leftovers, as in the
    caches, disturb both alike.

    Raises:
        DisagreementError: a side used more cores than threads allowed to it.
    """
    rounds: list[list[Timed]] = [[] for _ in sides]
    order = list(range(len(sides)))
    for index in range(pairs):
        for place in order:
            if sides[place].job.threads > 1:
                time.sleep(PAUSE)
            rounds[place].append(sides[place].run(index))
        order.reverse()
    for side, timed in zip(sides, rounds, strict=True):
        _check_threads(side, timed)
    return [[one.seconds for one in timed] for timed in rounds]


def _check_threads(side: Worker, timed: Sequence[Timed]) -> None:
    cores = sum(one.processor_seconds for one in timed) / sum(one.seconds for one in timed)
    if cores > MOST_CORES * side.job.threads:
        where = f"bench, {side.job.work}, {side.job.side}"
        raise DisagreementError(f"{where}: expected at most {side.job.threads} threads at work, got {cores:.2f}")


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return lower quartile, median and upper quartile; a single value is all three."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, median, high
