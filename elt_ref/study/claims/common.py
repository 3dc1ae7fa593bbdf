"""What studies share: the models on `shapes`, in two sizes, and the reasons for the data."""

from collections.abc import Mapping, Sequence
from typing import Any

from elt_ref.study.declare import Arm
from elt_ref.study.measures import Measure, Quality
from elt_ref.study.rows import Rows

SHAPES = "shapes-masked"
WHY_SHAPES = (
    "`shapes` by tokens of 2×2 pixels: 64 tokens from 40 codes, nothing is lost, and a rule counts the valid pictures. "
    "Here depth matters, because every token must agree with all others about place, size and edge. On digits it "
    "hardly does: there one loop of two layers is about as good as four (docs/results.md)."
)
SMALL = (
    "The pictures have at most 16×16 pixels, the networks two to eight layers, and the distance is over the features "
    "of a small classifier. So the figures compare with one another and not with the paper's."
)
SHORT: Mapping[str, Any] = {
    "model.width": 32,
    "model.mlp_width": 128,
    "model.initial_deviation": 0.11,
    "training.steps": 400,
    "training.batch_size": 32,
    "training.learning_rate": 2e-3,
    "training.warmup_steps": 100,
    "training.average_decay": 0.98,
    "sampling.steps": 8,
}
"""Settings of a quick training on `shapes`. The deviation is scaled by 1/√width. At the preset's rate, a warm-up
of 40 steps and its deviation, five of six trainings of ILSD and vanilla learned nothing in 250 steps."""
GRID, SHORT_GRID = (1e-3, 2e-3, 4e-3, 8e-3), (1e-3, 2e-3)
"""Learning rates to choose from: each model gets its own best, else studies would compare rates."""


def settings(*, quick: bool, **more: Any) -> dict[str, Any]:
    """Return settings of a model on `shapes`; a dot in a name is written as two underscores."""
    return {**(SHORT if quick else {}), **{name.replace("__", "."): value for name, value in more.items()}}


def samples(*, quick: bool) -> int:
    """Return how many samples a distance has."""
    return 64 if quick else 1000


def rates(*, quick: bool) -> Sequence[float]:
    """Return the grid of learning rates."""
    return SHORT_GRID if quick else GRID


def pair(measures: Sequence[Measure], *, quick: bool) -> list[Arm]:
    """Return the ILSD model and the vanilla one of the preset: 2 layers, L_max = 4, one rate."""
    return [
        Arm(kind, SHAPES, settings(quick=quick, objective__kind=kind.lower()), measures) for kind in ("ILSD", "vanilla")
    ]


def looped(name: str, layers: int, loops: int, *, quick: bool, at: tuple[int, ...] | None = None, **more: Any) -> Arm:
    """Return a model of N layers and L_max loops with its own best rate; with one loop it is an unlooped one.

    Args:
        name: name in rows.
        layers: N.
        loops: L_max.
        quick: whether the study is.
        at: loops to judge it at; L_max by default.
        more: further settings.
    """
    kind = "ilsd" if loops > 1 else "vanilla"
    chosen = settings(
        quick=quick, **{"objective__kind": kind, "model__layers": layers, "model__max_loops": loops, **more}
    )
    quality = Quality(at or (loops,), samples(quick=quick))
    width = chosen.get("model.width", 64)
    return Arm(name, SHAPES, chosen, (quality,), {"N": layers, "L_max": loops, "width": width}, rates(quick=quick))


def by_cost(rows: Rows) -> list[Mapping[str, Any]]:
    """Return the rows of distances once more, with their cost as a label, to draw one over the other."""
    return [
        {**row, "measure": "distance_by_cost", "gflops": rows.matching({**_same(row), "measure": COST})[0]["mean"]}
        for row in rows.matching({"measure": "frechet_distance"})
    ]


COST = "gflops_per_sample"


def _same(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("model", "loops", "steps")}
