"""Study 2: at L_max, ILSD is as good as vanilla."""

from collections.abc import Sequence

from elt_ref.study.claims.common import OWN_RATE, SMALL, WHY_SHAPES, pair, samples
from elt_ref.study.declare import Arm, Figure, Study
from elt_ref.study.measures import HeldOutLoss, Quality
from elt_ref.study.rows import Rows
from elt_ref.study.verdict import Finding, at_most

MAX_LOOPS, MARGIN = 4, 1.1


def arms(quick: bool) -> Sequence[Arm]:
    """Return ILSD and vanilla."""
    loops = (*range(1, MAX_LOOPS + 3),)
    return pair((Quality(loops, samples(quick=quick)), HeldOutLoss(loops)), quick=quick)


def judge(rows: Rows) -> Sequence[Finding]:
    """Return the distances' and the losses' ratio at L_max."""
    ilsd, vanilla = ({"model": kind, "loops": MAX_LOOPS} for kind in ("ILSD", "vanilla"))
    return [
        at_most(f"At L_max, the ratio of {what}, ILSD to vanilla,", rows.ratio(measure, ilsd, vanilla), MARGIN)
        for what, measure in (("distances", "frechet_distance"), ("held-out losses", "held_out_loss"))
    ]


STUDY = Study(
    name="parity",
    title="Parity: ILSD beside vanilla at the loops of training",
    claim="The elasticity of ILSD costs nothing at the loops of training: at L = L_max it is at least as good as "
    "vanilla.",
    place="caption of the UCF-101 figure (“improves performance for all values of L”) and section “Image Generation”",
    criterion=f"At L_max, the Fréchet distance and the held-out loss of ILSD are at most {MARGIN:g} times vanilla's.",
    data=f"{WHY_SHAPES} {OWN_RATE}",
    limits=SMALL,
    arms=arms,
    judge=judge,
    figure=Figure("frechet_distance", x="loops", x_title="loops L", y_title="Fréchet distance"),
    tables=("frechet_distance", "held_out_loss", "valid_share"),
    seeds=5,
)
