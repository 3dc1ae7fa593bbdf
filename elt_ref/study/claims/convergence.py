"""Study 6: quality over training steps, looped against unlooped."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from elt_ref.measure.interval import Interval, ratio_interval
from elt_ref.study.claims.common import BY_LOSS, SHORT, SMALL, WHOLE, WHY_SHAPES, looped
from elt_ref.study.declare import Arm, Figure, Study
from elt_ref.study.rows import Rows
from elt_ref.study.verdict import Finding, at_least, bounds

MODELS = {"4 × 2": (4, 2), "2 × 4": (2, 4), "8 layers, unlooped": (8, 1)}
UNLOOPED = "8 layers, unlooped"
PARTS = (0.25, 0.5, 1.0)
"""Lengths of training, as shares of the whole one."""


def arms(quick: bool) -> Sequence[Arm]:
    """Return each model at each length; the rate is the whole length's best."""
    whole = (SHORT if quick else WHOLE)["training.steps"]
    made = []
    for name, (layers, loops) in MODELS.items():
        for part in PARTS:
            steps = round(part * whole)
            arm = looped(f"{name}, {steps} steps", layers, loops, quick=quick, training__steps=steps)
            labels = {**arm.labels, "network": name, "training_steps": steps}
            of_whole = {} if part == 1 else {"rates": (), "rate_of": f"{name}, {whole} steps"}
            made.append(replace(arm, labels=labels, **of_whole))
    return made


def derive(rows: Rows) -> Sequence[Mapping[str, Any]]:
    """Return how many times fewer steps the looped models need for the loss that the unlooped one ends with."""
    return [_speedup(rows, name) for name in MODELS if name != UNLOOPED]


def _speedup(rows: Rows, name: str) -> dict[str, Any]:
    lengths = rows.labels("training_steps", measure="held_out_loss")
    looped_values, unlooped = (
        np.array([rows.values("held_out_loss", network=network, training_steps=steps) for steps in lengths])
        for network in (name, UNLOOPED)
    )
    seeds = range(unlooped.shape[1])
    values = [max(lengths) / steps_to(lengths, looped_values[:, seed], float(unlooped[-1, seed])) for seed in seeds]
    known = [value if math.isfinite(value) else None for value in values]
    return {"network": name, "measure": "speedup", **bounds(_interval(np.array(values))), "values": known}


def _interval(speedups: np.ndarray) -> Interval:
    return ratio_interval(speedups, np.ones(len(speedups)))


def steps_to(lengths: Sequence[int], losses: np.ndarray, wanted: float) -> float:
    """Return the steps after which losses stay within `wanted`, between two lengths on logarithmic axes.

    It is at least the first length. Where the last loss is greater, it is twice the last length.
    """
    if not np.isfinite([*losses, wanted]).all():
        return math.nan
    beyond = np.flatnonzero(losses > wanted)
    place = int(beyond[-1]) + 1 if len(beyond) else 0
    if place == 0:
        return float(lengths[0])
    if place == len(lengths):
        return 2.0 * lengths[-1]
    before, after = np.log(losses[place - 1 : place + 1])
    way = (before - math.log(wanted)) / (before - after)
    return float(lengths[place - 1] * (lengths[place] / lengths[place - 1]) ** way)


def judge(rows: Rows) -> Sequence[Finding]:
    """Return the speed-up of each looped model."""
    return [
        at_least(f"The speed-up of {name} over 8 unlooped layers", _interval(rows.values("speedup", network=name)), 1.0)
        for name in MODELS
        if name != UNLOOPED
    ]


STUDY = Study(
    name="convergence",
    title="Convergence: quality over training steps, looped and unlooped",
    claim="At equal depth a looped model reaches the quality of the unlooped one in fewer training steps: 2.0 times "
    "fewer for 16N×2L, 1.4 times fewer for 8N×4L.",
    place="figure “Faster Training Convergence”",
    criterion="At depth 8, the steps of the unlooped training, divided by the steps after which the held-out loss of "
    "4 × 2, and of 2 × 4, stays within the unlooped model's loss in the end, are at least 1.",
    data=f"{WHY_SHAPES} {BY_LOSS} Every model has its own best rate at the whole length, chosen by the loss of seed "
    "0. Each point is a training of its own length, because λ ends with the training.",
    limits=f"{SMALL} Three lengths stand for a curve: the speed-up is read between them, at most 4. It is set to "
    "½ where the looped model does not get there within the longest training, by however little it misses. Short "
    "trainings spread more over seeds. The longest ones are equal-depth's, which had been published when the "
    "criterion took the loss in the place of the distance.",
    arms=arms,
    judge=judge,
    derive=derive,
    figure=Figure(
        "held_out_loss",
        x="training_steps",
        x_title="training steps",
        y_title="held-out loss",
        series="network",
        log_x=True,
    ),
    tables=("held_out_loss", "frechet_distance", "valid_share"),
)
