"""Study 13: where loops matter: early, late, evenly, or until the prediction settles."""

from collections.abc import Sequence
from functools import partial

from elt_ref.study.claims.common import SHAPES, SMALL, WHY_SHAPES, by_cost, samples, settings
from elt_ref.study.declare import Arm, Figure, Study
from elt_ref.study.measures import Quality
from elt_ref.study.rows import Rows
from elt_ref.study.verdict import Finding, at_most

SCHEDULES = (2, "early:2", "late:2", 3, "early:3", "late:3", 4, "exit:0.02:8", "exit:0.05:8", "exit:0.1:8")
BETTER, AS_GOOD = 0.95, 1.1


def arms(quick: bool) -> Sequence[Arm]:
    """Return the ILSD model of the preset."""
    chosen = settings(quick=quick, objective__kind="ilsd")
    return [Arm("ILSD", SHAPES, chosen, (Quality(SCHEDULES, samples(quick=quick)),))]


def judge(rows: Rows) -> Sequence[Finding]:
    """Return the better lean at each mean, and early exit beside L_max."""
    found = []
    for mean in (2, 3):
        leans = {
            lean: rows.ratio("frechet_distance", {"loops": f"{lean}:{mean}"}, {"loops": mean})
            for lean in ("early", "late")
        }
        best = min(leans, key=lambda lean: leans[lean].mean)
        quantity = f"At {mean} loops on average, the ratio of distances, the better lean ({best}) to even loops,"
        found.append(at_most(quantity, leans[best], BETTER))
    exit_ = rows.ratio("frechet_distance", {"loops": "exit:0.05:8"}, {"loops": 4})
    cost = rows.ratio("gflops_per_sample", {"loops": "exit:0.05:8"}, {"loops": 4})
    return [
        *found,
        at_most("The ratio of distances, early exit at 0.05 to L_max,", exit_, AS_GOOD),
        at_most("The ratio of costs, early exit at 0.05 to L_max,", cost, 1.0),
    ]


STUDY = Study(
    name="where-loops",
    title="Where loops matter: early, late, or until the prediction settles",
    claim="Compute can be spent where it matters most: across sampling steps, uneven loops do better than even ones.",
    place="the conclusion's outlook (“dynamically allocate compute across denoising steps”)",
    criterion=f"At 2 and at 3 loops on average, a schedule that leans early or late has at most {BETTER:g} times the "
    f"Fréchet distance of even loops; and early exit at a threshold of 0.05 has at most {AS_GOOD:g} times the "
    "distance of L_max at no more cost.",
    data=WHY_SHAPES,
    limits=f"{SMALL} The better of two leans is judged, which favours the claim. The paper has no figures for it.",
    arms=arms,
    judge=judge,
    derive=partial(by_cost, measure="frechet_distance", name="distance_by_cost"),
    figure=Figure(
        "distance_by_cost", x="gflops", x_title="GFLOPs per sample", y_title="Fréchet distance", series="loops"
    ),
    tables=("frechet_distance", "gflops_per_sample", "valid_share"),
    table_x="loops",
    table_series="model",
    seeds=5,
)
