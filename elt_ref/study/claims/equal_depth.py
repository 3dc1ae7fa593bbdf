"""Study 3: looped against unlooped at equal depth (Table 2)."""

from collections.abc import Sequence

from elt_ref.study.claims.common import OWN_RATE, SMALL, WHY_SHAPES, looped
from elt_ref.study.declare import Arm, Figure, Study
from elt_ref.study.rows import Rows
from elt_ref.study.verdict import Finding, at_least, at_most

DEPTH = 8
UNLOOPED, HALF = "8 layers, unlooped", "4 layers, unlooped"
LOOPED = {"1 × 8": (1, 8), "2 × 4": (2, 4), "4 × 2": (4, 2)}
"""N × L_max, all of depth 8."""
TOO_SMALL = 1.5


def arms(quick: bool) -> Sequence[Arm]:
    """Return five models: three looped, the unlooped one of their depth, and one of half of it."""
    return [
        *(looped(name, layers, loops, quick=quick) for name, (layers, loops) in LOOPED.items()),
        looped(HALF, DEPTH // 2, 1, quick=quick),
        looped(UNLOOPED, DEPTH, 1, quick=quick),
    ]


def judge(rows: Rows) -> Sequence[Finding]:
    """Return the ratios that Table 2 has."""

    def over(first: str, second: str):  # noqa: ANN202
        return rows.ratio("frechet_distance", {"model": first}, {"model": second})

    return [
        at_most("The ratio of distances, 2 × 4 to 8 unlooped layers,", over("2 × 4", UNLOOPED), 1.0),
        at_most("The ratio of distances, 4 × 2 to 8 unlooped layers,", over("4 × 2", UNLOOPED), 1.0),
        at_least("The ratio of distances, 1 × 8 to 2 × 4,", over("1 × 8", "2 × 4"), TOO_SMALL),
        at_least("The ratio of distances, 1 × 8 to 4 unlooped layers,", over("1 × 8", HALF), 1.0),
    ]


STUDY = Study(
    name="equal-depth",
    title="Looped against unlooped at equal depth",
    claim="At equal depth N · L a looped model with a quarter or half of the layers is better than the unlooped one, "
    "and a block of one layer is too small (8N×4L 3.16 and 16N×2L 2.83, 32 layers 3.43, 1N×32L 10.30, 16 layers 3.87).",
    place="Table 2, section “Image Generation”",
    criterion="At depth 8, the Fréchet distances of 2 × 4 and of 4 × 2 are at most as great as with 8 unlooped layers; "
    f"the distance of 1 × 8 is at least {TOO_SMALL:g} times as great as with 2 × 4, and as great as with 4 unlooped "
    "layers.",
    data=f"{WHY_SHAPES} {OWN_RATE}",
    limits=f"{SMALL} Depth is 8 where the paper has 32. The rate is chosen with a seed that is judged too, for all "
    "alike.",
    arms=arms,
    judge=judge,
    figure=Figure(
        "frechet_distance",
        x="N",
        x_title="layers with parameters of their own, N",
        y_title="Fréchet distance",
        log_x=True,
    ),
    tables=("frechet_distance", "valid_share", "label_accuracy"),
    table_x="steps",
)
