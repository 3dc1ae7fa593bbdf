"""Time profile of a repetition, by the rooms of the package: each op alone, the optimizer, the rest.

Python reports every call and return; the time in between belongs to the innermost active function of a part.
The cost of the reports is left out, except some tenths of a microsecond a call. What the ops count in between belongs
to the same part, so that each part's time has a floor of its own.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import elt_ref
from elt_ref.bench.floor import pass_seconds
from elt_ref.bench.job import Repetition
from elt_ref.ops.counter import Work, count_for

WARM_UP, REPETITIONS = 2, 6
PARTS = {
    "linear": ("ops/linear.py",),
    "attention": ("ops/attention.py",),
    "GELU": ("ops/gelu.py", "ops/logistic.py"),
    "norms and gates": ("ops/layer_norm.py", "ops/modulation.py", "ops/post_norm_layer.py", "ops/adaln_zero_layer.py"),
    "lookup and losses": ("ops/embedding.py", "ops/rows.py", "ops/softmax.py", "ops/squared_error.py"),
    "optimizer": ("training/optimizer.py",),
}
"""Files of the package by part; an op's file holds its value and its VJP. Time of their callees is included."""
REST = "the rest"

_FOLDER = Path(elt_ref.__file__).parent
_PART_OF = {str(_FOLDER / file): part for part, files in PARTS.items() for file in files}


class Spent(NamedTuple):
    """What one part takes in a repetition."""

    seconds: float
    macs: int
    """Multiply-adds of its products."""
    pass_seconds: float
    """Seconds that its fewest passes take alone."""


def spent(repetition: Repetition) -> dict[str, Spent]:
    """Return what each of `PARTS` takes in a repetition, and the rest."""
    seconds = dict.fromkeys((*PARTS, REST), 0.0)
    counted = {part: Work() for part in seconds}
    for index in range(WARM_UP):
        repetition(index)
    since = time.perf_counter()

    def leave(part: str) -> None:
        seconds[part] += time.perf_counter() - since

    def enter(_part: str) -> None:
        nonlocal since
        since = time.perf_counter()

    _watch(repetition, REPETITIONS, leave, enter)
    count_for(counted[REST])
    _watch(repetition, 1, lambda _part: None, lambda part: count_for(counted[part]))
    count_for(None)
    return {
        part: Spent(seconds[part] / REPETITIONS, work.macs, pass_seconds(work.passes)) for part, work in counted.items()
    }


def _watch(repetition: Repetition, times: int, leave: Callable[[str], None], enter: Callable[[str], None]) -> None:
    """Repeat; at every call and return, leave the part that was at work, then enter the one that is."""
    at_work = [REST]

    def on_event(frame: FrameType, event: str, _argument: object) -> None:
        if event in {"call", "return"}:
            leave(at_work[-1])
            if event == "call":
                at_work.append(_PART_OF.get(frame.f_code.co_filename, at_work[-1]))
            elif len(at_work) > 1:  # the first return belongs to a call that was not reported
                at_work.pop()
            enter(at_work[-1])

    sys.setprofile(on_event)
    try:
        for index in range(times):
            repetition(index)
    finally:
        sys.setprofile(None)
