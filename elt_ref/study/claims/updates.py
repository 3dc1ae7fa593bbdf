"""Study 10: the norm of each loop's update at each sampling step, ILSD and vanilla, both families."""

from collections.abc import Sequence

import numpy as np

from elt_ref.measure.interval import ratio_interval
from elt_ref.study.claims.common import SMALL
from elt_ref.study.claims.elasticity import PRESETS, SIZES, rates_of
from elt_ref.study.declare import Arm, Figure, Study
from elt_ref.study.measures import Updates
from elt_ref.study.rows import Rows
from elt_ref.study.verdict import Finding, at_least

SAMPLES = {True: 45, False: 180}
"""Samples by size."""


def arms(quick: bool) -> Sequence[Arm]:
    """Return ILSD and vanilla, by diffusion on digits and by tokens on shapes."""
    return [
        Arm(
            f"{kind}, {family}",
            PRESETS[family][0],
            {**SIZES[quick][family], "objective.kind": kind.lower()},
            (Updates(SAMPLES[quick]),),
            {"training": kind, "family": family, "panel": f"{family}, {kind}"},
            rates_of(family, quick=quick),
        )
        for family in ("diffusion", "masked")
        for kind in ("ILSD", "vanilla")
    ]


def late_loops(rows: Rows, family: str, steps: Sequence[int]) -> np.ndarray:
    """Return, a seed, the share of an ILSD model's way in its loops after the first half, mean over these steps."""
    where = {"family": family, "training": "ILSD"}
    loops = rows.labels("loop", measure="update_share", **where)
    late = [loop for loop in loops if loop > len(loops) / 2]
    shares = [rows.values("update_share", step=step, loop=loop, **where) for step in steps for loop in late]
    return np.sum(shares, axis=0) / len(steps)


def judge(rows: Rows) -> Sequence[Finding]:
    """Return, for each family, how much more the late loops do in early steps than in late ones."""
    found = []
    for family in ("diffusion", "masked"):
        steps = rows.labels("step", measure="update_share", family=family)
        third = max(1, len(steps) // 3)
        early, late = (late_loops(rows, family, part) for part in (steps[:third], steps[-third:]))
        quantity = f"The share of the way that late loops of ILSD ({family}) go in the first steps, over the last,"
        found.append(at_least(quantity, ratio_interval(early, late), 1.0))
    return found


STUDY = Study(
    name="updates",
    title="How far each loop moves the state at each sampling step",
    claim="Early denoising steps update the state more in late loops than late denoising steps do: they need more "
    "loops.",
    place="second version on arXiv (2604.09168v2), norm of ‖x_(ℓ+1) − x_ℓ‖ by loop and step",
    criterion="In both families, the share of a step's way ‖x_ℓ − x_(ℓ−1)‖ in the loops after the first half (2 and 3 "
    "of 3, 3 and 4 of 4) is, for ILSD, at least as great in the first third of the sampling steps as in the last "
    "third.",
    data="Diffusion: handwritten digits in pixel space, as the claim is about denoising. Masked: `shapes` by tokens.",
    limits=f"{SMALL} A norm says how far a loop moves, and not whether the way is of use. Post-LN states (masked) "
    "have nearly constant norms, adaLN states (diffusion) grow.",
    arms=arms,
    judge=judge,
    figure=Figure(
        "update_share",
        x="step",
        x_title="sampling step",
        y_title="share of the step's way",
        series="loop",
        panel="panel",
    ),
    tables=("update_share", "update_norm"),
    seeds=5,
)
