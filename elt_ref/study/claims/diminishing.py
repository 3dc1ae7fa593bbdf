"""Study 7: the gains of more loops diminish; then the next scale is better."""

from collections.abc import Sequence

from elt_ref.measure.interval import ratio_interval
from elt_ref.study.claims.common import SHAPES, SMALL, WHY_SHAPES, samples, settings
from elt_ref.study.declare import Arm, Figure, Study
from elt_ref.study.measures import Quality
from elt_ref.study.rows import Rows
from elt_ref.study.verdict import Finding, at_least, at_most

MAX_LOOPS = 4
LOOPS = (1, 2, 4, 8)


def arms(quick: bool) -> Sequence[Arm]:
    """Return an ILSD model and the next scale, whose width costs about twice as much a loop."""
    widths = (32, 48) if quick else (48, 72)
    made = []
    for name, width in zip(("small", "next scale"), widths, strict=True):
        chosen = settings(quick=quick, objective__kind="ilsd")
        if name != "small":
            chosen |= {"model.width": width, "model.mlp_width": 4 * width}
        made.append(Arm(name, SHAPES, chosen, (Quality(LOOPS, samples(quick=quick)),), {"width": width}))
    return made


def judge(rows: Rows) -> Sequence[Finding]:
    """Return how gains change, and whether the next scale is better than more loops."""
    small = [rows.values("frechet_distance", model="small", loops=loops) for loops in LOOPS]
    first = ratio_interval(small[0] / small[1], small[1] / small[2])
    beyond = ratio_interval(small[1] / small[2], small[2] / small[3])
    larger = rows.ratio(
        "frechet_distance", {"model": "next scale", "loops": MAX_LOOPS}, {"model": "small", "loops": 2 * MAX_LOOPS}
    )
    return [
        at_least("The gain from L = 1 to 2, over the gain from L = 2 to 4,", first, 1.0),
        at_least("The gain from L = 2 to 4, over the gain from L = 4 to 8,", beyond, 1.0),
        at_most("The ratio of distances, the next scale at L_max to the small model at 2 · L_max,", larger, 1.0),
    ]


STUDY = Study(
    name="diminishing",
    title="The gains of more loops, and the next scale",
    claim="More loops improve the distance, but the gains diminish, and then the next scale is better than more "
    "loops of the smaller model.",
    place="section “Scaling Inference GFLOPs and Pareto Front”",
    criterion="The gain is the ratio of Fréchet distances before and after the loops are doubled. The gain from L = "
    "1 to 2 is at least that from 2 to 4, which is at least that from 4 to 8; and the next scale at L_max = 4, at "
    "about the cost of the small model at L = 8, has at most its distance.",
    data=f"{WHY_SHAPES} Widths 48 and 72 (quick: 32 and 48) differ by about 2 in cost.",
    limits=f"{SMALL} L = 8 lies beyond the loops of training, as the paper's faded points partly do. Both have the "
    "same learning rate, and start from the same deviation of the parameters.",
    arms=arms,
    judge=judge,
    figure=Figure("frechet_distance", x="loops", x_title="loops L", y_title="Fréchet distance", log_x=True),
    tables=("frechet_distance", "gflops_per_sample", "valid_share"),
    seeds=5,
)
