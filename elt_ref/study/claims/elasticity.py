"""Study 1: ILSD keeps its quality at every number of loops, vanilla does not; three families."""

from collections.abc import Mapping, Sequence
from typing import Any

from elt_ref.study.claims.common import OWN_RATE, SHAPES, SHORT, SMALL, WHOLE, WHY_SHAPES, rates, samples
from elt_ref.study.declare import Arm, Figure, Study
from elt_ref.study.measures import Quality
from elt_ref.study.rows import Rows
from elt_ref.study.verdict import Finding, at_least, at_most

PRESETS: Mapping[str, tuple[str, int]] = {
    "masked": (SHAPES, 4),
    "diffusion": ("digits-diffusion", 3),
    "video": ("digits-video", 4),
}
"""Preset and L_max by family."""
_SMALL_VIDEO = {"model.width": 32, "model.mlp_width": 128, "model.initial_deviation": 0.11, "training.batch_size": 24}
SIZES: Mapping[bool, Mapping[str, Mapping[str, Any]]] = {
    True: {
        "masked": SHORT,
        "diffusion": {
            "model.width": 32,
            "model.mlp_width": 128,
            "training.steps": 300,
            "training.batch_size": 32,
            "training.warmup_steps": 40,
            "training.average_decay": 0.97,
            "sampling.steps": 8,
        },
        "video": {
            **_SMALL_VIDEO,
            "training.steps": 400,
            "training.average_decay": 0.98,
            "sampling.steps": 8,
        },
    },
    False: {
        "masked": WHOLE,
        "diffusion": {"training.steps": 1200, "training.batch_size": 48, "training.average_decay": 0.99},
        "video": {**_SMALL_VIDEO, "training.average_decay": 0.99},
    },
}
"""Settings by size (quick or not) and family."""
FLAT, APART = 2.0, 3.0


def arms(quick: bool) -> Sequence[Arm]:
    """Return an ILSD and a vanilla model of each family."""
    return [
        Arm(
            f"{kind}, {family}",
            preset,
            {**SIZES[quick][family], "objective.kind": kind.lower()},
            (Quality((*range(1, max_loops + 3),), samples(quick=quick)),),
            {"training": kind, "family": family, "L_max": max_loops},
            rates_of(family, quick=quick),
        )
        for family, (preset, max_loops) in PRESETS.items()
        for kind in ("ILSD", "vanilla")
    ]


def rates_of(family: str, *, quick: bool) -> Sequence[float]:
    """Return the learning rates that the models of a family choose from; none where both have the configured one."""
    return rates(quick=quick) if family == "masked" else ()


def judge(rows: Rows) -> Sequence[Finding]:
    """Return the findings of each family."""
    return [finding for family in PRESETS for finding in _judge_family(rows, family, PRESETS[family][1])]


def _judge_family(rows: Rows, family: str, max_loops: int) -> list[Finding]:
    ilsd, vanilla = ({"family": family, "training": kind} for kind in ("ILSD", "vanilla"))
    flat = [
        at_most(
            f"The ratio of distances of ILSD ({family}), L = {loops} to L_max = {max_loops},",
            rows.ratio("frechet_distance", {**ilsd, "loops": loops}, {**ilsd, "loops": max_loops}),
            FLAT,
        )
        for loops in range(1, max_loops)
    ]
    apart = rows.ratio("frechet_distance", {**vanilla, "loops": 1}, {**ilsd, "loops": 1})
    return [*flat, at_least(f"At L = 1, the ratio of distances, vanilla ({family}) to ILSD,", apart, APART)]


STUDY = Study(
    name="elasticity",
    title="Elasticity: quality at every number of loops",
    claim="A model trained by ILSD keeps stable quality at every number of loops up to L_max; a vanilla looped "
    "transformer works only near the loops it was trained with.",
    place="section “ILSD drives Elasticity”, figures of masked models, diffusion transformers and UCF-101",
    criterion="In each of three families: at every L from 1 to L_max − 1 the Fréchet distance of ILSD is at most "
    f"{FLAT:g} times its distance at L_max; and at L = 1 the distance of vanilla is at least {APART:g} times ILSD's.",
    data=f"Masked: {WHY_SHAPES} {OWN_RATE} Diffusion: handwritten digits in pixel space, N = 4 and L_max = 3. Video: "
    "digits in motion, N = 2 and L_max = 4.",
    limits=SMALL,
    arms=arms,
    judge=judge,
    figure=Figure(
        "frechet_distance",
        x="loops",
        x_title="loops L",
        y_title="Fréchet distance",
        series="training",
        panel="family",
    ),
    tables=("frechet_distance", "label_accuracy"),
    seeds=5,
)
