"""Time profile of a repetition, by the rooms of the package: each op alone, the optimizer, the rest.

Python reports every call and return; the time in between belongs to the innermost active function of a part.
The cost of the reports is left out, except some tenths of a microsecond a call.
"""

import sys
import time
from pathlib import Path
from types import FrameType

import elt_ref
from elt_ref.bench.job import Repetition

WARM_UP, REPETITIONS = 3, 12
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


def shares(repetition: Repetition) -> dict[str, float]:
    """Return the share of the time spent in each of `PARTS`, and in the rest."""
    spent = dict.fromkeys((*PARTS, REST), 0.0)
    at_work = [REST]

    def on_event(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal since
        if event in {"call", "return"}:
            spent[at_work[-1]] += time.perf_counter() - since
            if event == "call":
                at_work.append(_PART_OF.get(frame.f_code.co_filename, at_work[-1]))
            elif len(at_work) > 1:  # the first return belongs to a call that was not reported
                at_work.pop()
            since = time.perf_counter()

    for index in range(WARM_UP):
        repetition(index)
    since = time.perf_counter()
    sys.setprofile(on_event)
    try:
        for index in range(REPETITIONS):
            repetition(index)
    finally:
        sys.setprofile(None)
    total = sum(spent.values())
    return {part: seconds / total for part, seconds in spent.items()}
