"""A study of seconds, which takes the whole way of the thirteen."""

from elt_ref.study.declare import Arm, Figure, Study
from elt_ref.study.measures import HeldOutLoss, Quality
from elt_ref.study.verdict import at_most

SETTINGS = {
    "model.layers": 1,
    "model.max_loops": 2,
    "model.width": 8,
    "model.heads": 2,
    "model.mlp_width": 8,
    "model.codebook_size": 12,
    "model.initial_deviation": 0.5,
    "tokenizer.iterations": 3,
    "sampling.steps": 2,
    "training.steps": 6,
    "training.batch_size": 4,
    "training.warmup_steps": 1,
    "training.checkpoint_every": 2,
}


def arms(_quick):
    measures = (Quality((1, 2), 10), HeldOutLoss((1, 2), repeats=1))
    return [
        Arm(kind, "digits-masked", {**SETTINGS, "objective.kind": kind.lower()}, measures, rates=(1e-3, 1e-1))
        for kind in ("ILSD", "vanilla")
    ]


def judge(rows):
    at = [{"model": name, "loops": 2} for name in ("ILSD", "vanilla")]
    return [at_most("The loss of ILSD over vanilla's", rows.ratio("held_out_loss", *at), 1.1)]


TINY = Study(
    name="tiny",
    title="A study of seconds",
    claim="Nothing.",
    place="nowhere",
    criterion="The held-out loss of ILSD is at most 1.1 times vanilla's.",
    data="Digits.",
    limits="All.",
    arms=arms,
    judge=judge,
    figure=Figure("frechet_distance", x="loops", x_title="loops L", y_title="Fréchet distance"),
    tables=("frechet_distance", "held_out_loss"),
)
