"""Study 12: little data; held-out loss, looped and unlooped."""

from collections.abc import Sequence

from elt_ref.study.claims.common import SHAPES, WHY_SHAPES, rates, settings
from elt_ref.study.declare import Arm, Figure, Study
from elt_ref.study.measures import HeldOutLoss
from elt_ref.study.rows import Rows
from elt_ref.study.verdict import Finding, at_most

SHARES = (0.1, 0.3, 1.0)
MODELS = {"2 × 4": (2, 4), "8 layers, unlooped": (8, 1)}
UNLOOPED = "8 layers, unlooped"


def arms(quick: bool) -> Sequence[Arm]:
    """Return both models at each share; every one has its own best rate."""
    made = []
    for name, (layers, loops) in MODELS.items():
        for share in SHARES:
            kind = "ilsd" if loops > 1 else "vanilla"
            chosen = settings(quick=quick, objective__kind=kind, model__layers=layers, model__max_loops=loops)
            labels = {"network": name, "share": share}
            measures = (HeldOutLoss((loops,), repeats=4),)
            percent = f"{name}, {share:.0%} of the data"
            made.append(Arm(percent, SHAPES, chosen, measures, labels, rates(quick=quick), share=share))
    return made


def judge(rows: Rows) -> Sequence[Finding]:
    """Return the losses' ratio at each small share."""
    return [
        at_most(
            f"With {share:.0%} of the data, the ratio of held-out losses, 2 × 4 to 8 unlooped layers,",
            rows.ratio("held_out_loss", *({"network": name, "share": share} for name in MODELS)),
            1.0,
        )
        for share in SHARES
        if share < 1
    ]


STUDY = Study(
    name="little-data",
    title="Little data: held-out loss, looped and unlooped",
    claim="Looped transformers can be robust against overfitting where data are few.",
    place="introduction, and section “Video Generation” (about 13.7M training tokens)",
    criterion="At equal depth 8, and with 10 % and with 30 % of the training pictures, the held-out loss of 2 × 4 is "
    "at most as great as with 8 unlooped layers.",
    data=f"{WHY_SHAPES} 10 % are 252 pictures, 30 % are 765; all patches occur among them, so losses compare across "
    "shares. The held-out part is whole. Every model has its own best learning rate at each share, chosen by the "
    "held-out loss of seed 0.",
    limits="The pictures are regular, so a model can also learn the rule from few of them. In trainings this short "
    "neither model overfits: a tenth of the pictures is nearly as good as all. So the ratio is the one of all data; "
    "what looping is worth where the unlooped model overfits stays open. The rate is chosen by the loss that is "
    "judged, which helps both alike.",
    arms=arms,
    judge=judge,
    figure=Figure(
        "held_out_loss",
        x="share",
        x_title="share of the training pictures",
        y_title="held-out loss",
        series="network",
        log_x=True,
    ),
    tables=("held_out_loss",),
)
