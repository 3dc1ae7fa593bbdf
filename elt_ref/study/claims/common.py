"""What studies share: the models on `shapes`, in two sizes, and the reasons for the data."""

from collections.abc import Mapping, Sequence
from typing import Any

from elt_ref.study.declare import Arm
from elt_ref.study.measures import HeldOutLoss, Measure, Quality
from elt_ref.study.rows import Rows

SHAPES = "shapes-masked"
WHY_SHAPES = (
    "`shapes` by tokens of 2×2 pixels: 64 tokens from 40 codes, nothing is lost, and a rule counts the valid pictures. "
    "Here depth matters, because every token must agree with all others about place, size and edge. On digits it "
    "hardly does: there one loop of two layers is about as good as four (docs/results.md)."
)
SMALL = (
    "The pictures have at most 16×16 pixels, the networks one to eight layers, the trainings at most 1,500 steps, and "
    "the distance is over the features of a small classifier. So the figures compare with one another and not with the "
    "paper's."
)
BY_LOSS = (
    "The held-out loss is judged, with the same masks for every model. Of five seeds the largest is 1.03 (ILSD) and "
    "1.10 times (vanilla) the smallest, at L_max; of the Fréchet distance it is 2.0 and 2.5 times "
    "(docs/study/parity.md), which would decide little."
)
SHORT: Mapping[str, Any] = {
    "model.width": 32,
    "model.mlp_width": 128,
    "model.initial_deviation": 0.11,
    "training.steps": 500,
    "training.batch_size": 32,
    "training.learning_rate": 2e-3,
    "training.average_decay": 0.98,
    "sampling.steps": 8,
}
"""Settings of a quick training on `shapes`; vanilla learns at this rate, too. The deviation suits the width."""
WHOLE: Mapping[str, Any] = {
    "model.width": 48,
    "model.mlp_width": 192,
    "model.initial_deviation": 0.09,
    "training.steps": 1200,
    "training.batch_size": 32,
    "training.learning_rate": 2e-3,
    "training.average_decay": 0.99,
}
"""Settings of a whole training on `shapes`: two to three minutes, because the studies have some two hundred of them.
The rate is the pair's best, so that studies without a choice of rates use its trainings."""
GRID, SHORT_GRID = (1e-3, 2e-3, 4e-3), (1e-3, 2e-3)
"""Learning rates to choose from: each model gets its own best, else studies would compare rates. In 1,200 steps both
models of the pair are best at 2e-3, and at 4e-3 vanilla learns nothing (docs/study/parity.md)."""
OWN_RATE = "Every model has its own best learning rate, chosen by the held-out loss of seed 0."


def settings(*, quick: bool, **more: Any) -> dict[str, Any]:
    """Return settings of a model on `shapes`; a dot in a name is written as two underscores."""
    return {**(SHORT if quick else WHOLE), **{name.replace("__", "."): value for name, value in more.items()}}


def samples(*, quick: bool) -> int:
    """Return how many samples a distance has."""
    return 90 if quick else 450


def rates(*, quick: bool) -> Sequence[float]:
    """Return the grid of learning rates."""
    return SHORT_GRID if quick else GRID


def pair(measures: Sequence[Measure], *, quick: bool) -> list[Arm]:
    """Return the ILSD model and the vanilla one, 2 layers and L_max = 4, each at its own best rate."""
    return [
        Arm(
            kind,
            SHAPES,
            settings(quick=quick, objective__kind=kind.lower()),
            measures,
            rates=rates(quick=quick),
        )
        for kind in ("ILSD", "vanilla")
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
    at = at or (loops,)
    measures = (Quality(at, samples(quick=quick)), HeldOutLoss(at))
    labels = {"N": layers, "L_max": loops, "width": chosen["model.width"]}
    return Arm(name, SHAPES, chosen, measures, labels, rates(quick=quick))


def by_cost(rows: Rows, measure: str, name: str) -> list[Mapping[str, Any]]:
    """Return the rows of a measure once more, under another name, with the cost of a sample as a label."""
    return [
        {**row, "measure": name, "gflops": rows.matching({**_same(row), "measure": "gflops_per_sample"})[0]["mean"]}
        for row in rows.matching({"measure": measure})
    ]


def _same(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("model", "loops", "steps") if name in row}
