"""Study 11: more sampling steps and more loops, one step among them."""

from collections.abc import Sequence

from elt_ref.study.claims.common import SHAPES, SMALL, WHY_SHAPES, samples, settings
from elt_ref.study.declare import Arm, Figure, Study
from elt_ref.study.measures import Quality
from elt_ref.study.rows import Rows
from elt_ref.study.verdict import Finding, at_most

LOOPS = (1, 2, 4, 6)
STEPS = {True: (1, 2, 4, 8, 16), False: (1, 2, 4, 8, 16, 32)}
"""Sampling steps by size."""


def arms(quick: bool) -> Sequence[Arm]:
    """Return the ILSD model of the preset."""
    measures = tuple(Quality(LOOPS, samples(quick=quick), steps) for steps in STEPS[quick])
    return [Arm("ILSD", SHAPES, settings(quick=quick, objective__kind="ilsd"), measures)]


def judge(rows: Rows) -> Sequence[Finding]:
    """Return what more of both, and of each alone, does."""

    def ratio(over: tuple[int, int], under: tuple[int, int]):  # noqa: ANN202
        return rows.ratio("frechet_distance", *({"steps": steps, "loops": loops} for steps, loops in (over, under)))

    return [
        at_most("The ratio of distances, 16 steps of 6 loops to 8 steps of 4,", ratio((16, 6), (8, 4)), 1.0),
        at_most("The ratio of distances, 16 steps of 4 loops to 8 steps of 4,", ratio((16, 4), (8, 4)), 1.0),
        at_most("The ratio of distances, 1 step of 4 loops to 1 step of 1,", ratio((1, 4), (1, 1)), 1.0),
    ]


STUDY = Study(
    name="steps-and-loops",
    title="More sampling steps and more loops",
    claim="More loops and more sampling steps together improve quality (FVD 72.8 with 12 steps of 4 loops, 60.8 with "
    "24 of 6).",
    place="table of UCF-101, section “Video Generation”; one step: the conclusion's outlook",
    criterion="The Fréchet distance with 16 steps of 6 loops, and with 16 steps of 4, is at most as great as with "
    "8 steps of 4 (L_max = 4); and with a single step, 4 loops are at most as far as 1 loop.",
    data=WHY_SHAPES,
    limits=f"{SMALL} A single step draws all tokens independently of one another, so none of its pictures is valid, at "
    "any L. The distance does not show that: it compares means and covariances of features.",
    arms=arms,
    judge=judge,
    figure=Figure(
        "frechet_distance",
        x="steps",
        x_title="sampling steps",
        y_title="Fréchet distance",
        series="loops",
        log_x=True,
    ),
    tables=("frechet_distance", "valid_share"),
    seeds=5,
)
