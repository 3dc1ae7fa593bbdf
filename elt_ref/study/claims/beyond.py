"""Study 8: beyond L_max, up to 64 loops."""

from collections.abc import Sequence

from elt_ref.study.claims.common import OWN_RATE, SMALL, WHY_SHAPES, pair, samples
from elt_ref.study.declare import Arm, Figure, Study
from elt_ref.study.measures import Quality
from elt_ref.study.rows import Rows
from elt_ref.study.verdict import Finding, at_least, at_most

MAX_LOOPS = 4
LOOPS = (4, 6, 8, 16, 32, 64)
NEAR, TWICE = 1.25, 1.5


def arms(quick: bool) -> Sequence[Arm]:
    """Return ILSD and vanilla."""
    return pair((Quality(LOOPS, samples(quick=quick) // (1 if quick else 2)),), quick=quick)


def judge(rows: Rows) -> Sequence[Finding]:
    """Return how ILSD fares at 1.5 and 2 times L_max, and beside vanilla."""

    def at(loops: int, model: str = "ILSD") -> dict[str, object]:
        return {"model": model, "loops": loops}

    def ratio(over: dict[str, object], under: dict[str, object]):  # noqa: ANN202
        return rows.ratio("frechet_distance", over, under)

    return [
        at_most("The ratio of distances of ILSD, L = 6 to L_max = 4,", ratio(at(6), at(MAX_LOOPS)), NEAR),
        at_most("The ratio of distances of ILSD, L = 8 to L_max,", ratio(at(8), at(MAX_LOOPS)), TWICE),
        at_least("At L = 8, the ratio of distances, vanilla to ILSD,", ratio(at(8, "vanilla"), at(8)), 1.0),
    ]


STUDY = Study(
    name="beyond",
    title="Beyond the loops of training, up to 64",
    claim="ILSD keeps reasonable quality at unseen depths L > L_max: modest extrapolation (the best FVD on UCF-101 "
    "is at L = 6 with L_max = 4).",
    place="section “ILSD drives Elasticity”",
    criterion=f"With L_max = 4 the Fréchet distance of ILSD is at L = 6 at most {NEAR:g} times, and at L = 8 at most "
    f"{TWICE:g} times, its distance at L_max; and at L = 8 vanilla's is at least ILSD's. The paper says nothing "
    "beyond; up to 64 loops are measured and not judged.",
    data=f"{WHY_SHAPES} {OWN_RATE}",
    limits=f"{SMALL} In the whole study a distance has 225 samples, half as many as in others, so it is larger.",
    arms=arms,
    judge=judge,
    figure=Figure("frechet_distance", x="loops", x_title="loops L", y_title="Fréchet distance", log_x=True),
    tables=("frechet_distance", "valid_share", "label_accuracy"),
    seeds=5,
)
