"""Study 9: the terms of ILSD, each off, and what else could stand in their place."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from elt_ref.measure.interval import Interval, interval_of
from elt_ref.study.claims.common import BY_LOSS, SHAPES, SMALL, WHY_SHAPES, samples, settings
from elt_ref.study.declare import Arm, Figure, Study
from elt_ref.study.measures import HeldOutLoss, Quality
from elt_ref.study.rows import Rows
from elt_ref.study.verdict import Finding, at_least, at_most, bounds

LOOPS = (1, 2, 3, 4)
ILSD = "ILSD"
LOSS, OVER_ILSD = "held_out_loss", "loss_over_ilsd"
OFF = {
    "without ground truth for the teacher (E5.1)": "no_teacher_truth",
    "without ground truth for the student (E5.2)": "no_student_truth",
    "without distillation (E5.3)": "no_distillation",
    "without the stop-gradient": "no_stop_gradient",
}
GRADUAL = {"λ falls as a cosine": "cosine_weight"}
OTHERS = {
    "KL for the cross-entropy": "divergence",
    "λ falls in one step": "weight_step",
    "λ = ½": "weight_constant",
    "student after half of the loops": "student_fixed",
    "every loop a student": "student_all",
    "random loops, no teacher": "random_loops",
    "ground truth at every loop": "every_loop",
    "ground truth at every loop, later ones weigh more": "weighted_loops",
    "input injection": "input_injection",
    "an embedding of the loop's index": "loop_index",
    "back-propagation through the last loops": "truncated_backprop",
}
"""Measured and not judged: the paper claims nothing about them."""
MARGIN = 1.05
SHORTER, FEWER = 300, 800
"""Steps of a quick training, and of a whole one: there are many models."""


def arms(quick: bool) -> Sequence[Arm]:
    """Return ILSD and its changes, all at one rate."""
    chosen = settings(quick=quick, objective__kind="ilsd")
    chosen["training.steps"] = SHORTER if quick else FEWER
    measures = (Quality((LOOPS[0], LOOPS[-1]), samples(quick=quick)), HeldOutLoss(LOOPS))
    ideas = {ILSD: None, **OFF, **GRADUAL, **OTHERS}
    return [
        Arm(name, SHAPES, chosen, measures, idea=idea, may_fail=name not in (ILSD, *GRADUAL))
        for name, idea in ideas.items()
    ]


def derive(rows: Rows) -> Sequence[Mapping[str, Any]]:
    """Return by seed what the geometric mean of the losses over L = 1 … L_max is of ILSD's."""

    def logarithm(name: str) -> Float[np.ndarray, " seeds"]:
        return np.log([rows.values(LOSS, model=name, loops=loops) for loops in LOOPS]).mean(axis=0)

    made = []
    for name in rows.labels("model"):
        values = np.exp(logarithm(name) - logarithm(ILSD))
        known = [float(value) if math.isfinite(value) else None for value in values]
        labels = {"model": name, "measure": OVER_ILSD, "loops": f"{LOOPS[0]} to {LOOPS[-1]}"}
        if name != ILSD:
            made.append({**labels, **bounds(interval_of(OVER_ILSD, values)), "values": known})
    return made


def judge(rows: Rows) -> Sequence[Finding]:
    """Return what each term is worth, and how much the course of λ matters."""

    def over_ilsd(name: str) -> Interval:
        return interval_of(OVER_ILSD, rows.values(OVER_ILSD, model=name))

    found = [
        at_least(f"{name[0].upper()}{name[1:]}, the mean loss, divided by ILSD's,", over_ilsd(name), 1.0)
        for name in OFF
    ]
    for name in GRADUAL:
        quantity = f"Where {name}, the mean loss, divided by ILSD's with its linear λ,"
        found += [at_most(quantity, over_ilsd(name), MARGIN), at_least(quantity, over_ilsd(name), 1 / MARGIN)]
    return found


STUDY = Study(
    name="terms",
    title="The terms of ILSD, each off, and others in their place",
    claim="Every term of ILSD is of use, and the result does not depend on how λ decays, as long as it is gradual.",
    place="section “Intra-Loop Self Distillation”; ablation in the second version on arXiv (2604.09168v2)",
    criterion="The quantity is the geometric mean of the held-out losses at L = 1 … L_max. Without any one of the "
    "three terms, or without the stop-gradient, it is at least ILSD's; and with a cosine λ it is between 1/1.05 and "
    "1.05 times what it is with the linear λ.",
    data=f"{WHY_SHAPES} {BY_LOSS}",
    limits=f"{SMALL} All have the same learning rate, and fewer steps than elsewhere, because there are many. The KL "
    "divergence differs from the cross-entropy by a number without gradient, so its training can differ by rounding "
    "only. What stands in the place of a term is measured and not judged: a study of its own would have to test what "
    "looks better here, for about one interval of sixteen is on one side of 1 by chance.",
    arms=arms,
    judge=judge,
    derive=derive,
    figure=Figure(OVER_ILSD, x=None, x_title="held-out loss ÷ ILSD's (the line at 1), less is better"),
    tables=(OVER_ILSD, LOSS, "frechet_distance", "valid_share"),
)
