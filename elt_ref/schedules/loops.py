"""Any-time inference: the loops of each sampling step.

An integer; one integer per step; or early exit, which loops until the prediction stops changing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from elt_ref.arrays import check_loops
from elt_ref.errors import RequestError


@dataclass(frozen=True)
class EarlyExit:
    """Loop until the prediction changes by no more than `threshold` from one loop to the next.

    The change lies in 0 … 1. Masked family: the total variation distance ½ Σ_v |p_ℓ(v) − p_ℓ−1(v)| between successive
    predictions, averaged over a sample's unknown tokens. Diffusion family: ‖x̂_ℓ − x̂_ℓ−1‖ / ‖x̂_ℓ‖, at most 1, of what
    the network predicts. Each sample leaves on its own, after two loops at the earliest.

    Raises:
        RequestError: threshold outside 0 … 1, or `max_loops` not an integer of at least 1.
    """

    threshold: float
    max_loops: int
    """Most loops."""

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise RequestError(f"early exit: expected a threshold in 0…1, got {self.threshold}")
        check_loops(self.max_loops, "early exit: max_loops")


LoopSchedule: TypeAlias = int | Sequence[int] | EarlyExit


def loops_per_step(schedule: LoopSchedule, steps: int) -> Sequence[int | EarlyExit]:
    """Return the loops of each of `steps` sampling steps.

    Raises:
        RequestError: not a positive integer, an `EarlyExit`, or a sequence of `steps` positive integers.
    """
    if isinstance(schedule, EarlyExit):
        return [schedule] * steps
    if not isinstance(schedule, Sequence) or isinstance(schedule, str):
        return [check_loops(schedule)] * steps
    if len(schedule) != steps:
        raise RequestError(f"loops: expected one number for each of {steps} sampling steps, got {len(schedule)}")
    return [check_loops(loops, f"loops of step {step}") for step, loops in enumerate(schedule)]


def leaning_schedule(mean: int, steps: int, lean: str) -> list[int]:
    """Return loops for each step that fall (``"early"``) or rise (``"late"``) evenly between 2 · mean − 1 and 1.

    The total equals `mean` loops at every step: only the place of the loops differs.
    """
    check_loops(mean)
    places = np.linspace(2 * mean - 1, 1, steps) if steps > 1 else np.array([float(mean)])
    ends = np.floor(np.cumsum(places) + 0.5).astype(int)  # rounding the running total keeps the total
    loops = [int(number) for number in np.diff(ends, prepend=0)]
    return loops if lean == "early" else loops[::-1]


def parse_loop_schedule(text: str, *, max_loops: int, steps: int) -> LoopSchedule:
    """Return the schedule that a text describes.

    Args:
        text: ``4``; ``1,2,4,4``, one per step; ``early:4`` or ``late:4``, four on average; ``exit:0.02``, at
            most 2 · `max_loops`, or ``exit:0.02:6``, at most 6.
        max_loops: L_max.
        steps: sampling steps.

    Raises:
        RequestError: anything else.
    """
    try:
        if text.startswith("exit:"):
            threshold, *most = text.removeprefix("exit:").split(":", 1)
            return EarlyExit(float(threshold), int(most[0]) if most else 2 * max_loops)
        if text.startswith(("early:", "late:")):
            lean, mean = text.split(":")
            return leaning_schedule(int(mean), steps, lean)
        loops = [int(part) for part in text.split(",")]
    except RequestError:
        raise
    except ValueError:
        raise RequestError(
            f"loops: expected a number (4), one a sampling step (1,2,4,4), more early or late (early:4, late:4) "
            f"or early exit (exit:0.02), got '{text}'"
        ) from None
    return check_loops(loops[0]) if len(loops) == 1 else [check_loops(number) for number in loops]
