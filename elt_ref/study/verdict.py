"""Verdicts in three values, and the findings that lead to them.

A finding compares an interval with a bound. It holds where the whole interval is on the right side, it does not where
the whole interval is on the wrong side, and in between nothing is decided; with fewer than `MIN_SEEDS` seeds never.
Criteria join findings as Kleene's logic does: "all" is the worst of them, "any" the best.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from elt_ref.measure.interval import MIN_SEEDS, Interval


class Verdict(StrEnum):
    """What a study may say; from worst to best in the order of `RANKS`."""

    DOES_NOT = "does not"
    UNDECIDED = "not decidable here"
    HOLDS = "holds here"


RANKS = (Verdict.DOES_NOT, Verdict.UNDECIDED, Verdict.HOLDS)


@dataclass(frozen=True)
class Finding:
    """One quantity of a criterion, its interval, what the criterion asks of it, and whether it is so."""

    quantity: str
    """Quantity in words; a sentence goes on with its value."""
    interval: Interval
    asked: str
    """Bound in words: "at most 1.5"."""
    verdict: Verdict

    def document(self) -> dict[str, Any]:
        """Return the finding as JSON holds it."""
        return {
            "quantity": self.quantity,
            **bounds(self.interval),
            "asked": self.asked,
            "verdict": str(self.verdict),
        }


def bounds(interval: Interval) -> dict[str, float | None]:
    """Return mean, low and high; what is not finite, which JSON lacks, is None."""
    named = {"mean": interval.mean, "low": interval.low, "high": interval.high}
    return {name: value if abs(value) < float("inf") else None for name, value in named.items()}


def at_most(quantity: str, interval: Interval, bound: float) -> Finding:
    """Return whether a quantity is at most `bound`."""
    return Finding(
        quantity, interval, f"at most {bound:.4g}", _side(interval, interval.high <= bound, interval.low > bound)
    )


def at_least(quantity: str, interval: Interval, bound: float) -> Finding:
    """Return whether a quantity is at least `bound`."""
    return Finding(
        quantity, interval, f"at least {bound:.4g}", _side(interval, interval.low >= bound, interval.high < bound)
    )


def _side(interval: Interval, right: bool, wrong: bool) -> Verdict:
    if interval.seeds < MIN_SEEDS:
        return Verdict.UNDECIDED
    return Verdict.HOLDS if right else Verdict.DOES_NOT if wrong else Verdict.UNDECIDED


def all_of(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst: all hold, or one does not, or nothing is decided. Of none, it holds."""
    return min(verdicts, key=RANKS.index, default=Verdict.HOLDS)


def any_of(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the best: one holds, or all do not, or nothing is decided. Of none, it does not."""
    return max(verdicts, key=RANKS.index, default=Verdict.DOES_NOT)
