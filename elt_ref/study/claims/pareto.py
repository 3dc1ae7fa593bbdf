"""Study 4: the Pareto front of quality against compute, with the paper's form of fit."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from elt_ref.measure.interval import t_interval
from elt_ref.study.claims.common import BY_LOSS, OWN_RATE, SMALL, WHY_SHAPES, by_cost, looped
from elt_ref.study.declare import Arm, Figure, Study
from elt_ref.study.rows import Rows
from elt_ref.study.verdict import Finding, at_least, at_most, bounds

EXPLAINED = 0.8
OFFSETS = 200
"""Values of c that the fit tries."""


def arms(quick: bool) -> Sequence[Arm]:
    """Return models over width, N and L_max, each judged at several loops."""
    widths = (16, 32, 48) if quick else (24, 48, 64)
    shapes = ((2, 4),) if quick else ((1, 4), (2, 4), (4, 2))
    made = []
    for width in widths:
        for layers, loops in shapes:
            at = tuple(number for number in (1, 2, 3, 4) if number <= loops)
            more = {"model__width": width, "model__mlp_width": 4 * width}
            made.append(looped(f"{layers} × {loops}, d = {width}", layers, loops, quick=quick, at=at, **more))
    return made


def front(costs: Float[np.ndarray, " points"], losses: Float[np.ndarray, " points"]) -> list[int]:
    """Return the places that no other is cheaper and better than, by rising cost."""
    best, places = math.inf, []
    for place in np.argsort(costs, kind="stable"):
        if losses[place] < best:
            best = float(losses[place])
            places.append(int(place))
    return places


def fit(costs: Float[np.ndarray, " points"], losses: Float[np.ndarray, " points"]) -> tuple[float, float, float, float]:
    """Return a, b, c of loss = a · G^−b + c, by least squares of log(loss − c), and the R² of losses.

    c is the best of `OFFSETS` values from 0 to just below the least loss. With fewer than three points all is NaN.
    """
    if len(costs) < 3 or not np.isfinite(losses).all():
        return math.nan, math.nan, math.nan, math.nan
    best = (math.inf, math.nan, math.nan, math.nan)
    for offset in np.linspace(0, 0.99 * losses.min(), OFFSETS):
        slope, level = np.polyfit(np.log(costs), np.log(losses - offset), 1)
        error = float(np.sum((np.exp(level) * costs**slope + offset - losses) ** 2))
        best = min(best, (error, math.exp(level), -float(slope), float(offset)))
    error, scale, power, offset = best
    return scale, power, offset, 1 - error / float(np.sum((losses - losses.mean()) ** 2))


def derive(rows: Rows) -> Sequence[Mapping[str, Any]]:
    """Return rows of losses over the cost, and of the fit of each seed's front."""
    points = by_cost(rows, "held_out_loss", "loss_by_cost")
    costs = np.array([point["gflops"] for point in points], float)
    losses = np.array([[math.nan if value is None else value for value in point["values"]] for point in points])
    fits = []
    for seed in losses.T:
        places = front(costs, seed) if np.isfinite(seed).all() else []
        fits.append(fit(costs[places], seed[places]))
    made = []
    for name, values in zip(("scale", "power", "offset", "explained"), zip(*fits, strict=True), strict=True):
        finite = [value if math.isfinite(value) else None for value in values]
        made.append({"measure": f"fit_{name}", **bounds(t_interval(np.array(values, float))), "values": finite})
    return [*points, *made]


def judge(rows: Rows) -> Sequence[Finding]:
    """Return the findings about the fit, and about loops in each run."""
    found = [
        at_least("The power b of the fit to the front", t_interval(rows.values("fit_power")), 0.0),
        at_least("The share R² that the fit explains", t_interval(rows.values("fit_explained")), EXPLAINED),
    ]
    for name in rows.labels("model", measure="loss_by_cost"):
        loops = rows.labels("loops", model=name, measure="held_out_loss")
        last, first = ({"model": name, "loops": number} for number in (max(loops), min(loops)))
        ratio = rows.ratio("held_out_loss", last, first)
        found.append(at_most(f"The ratio of losses of {name}, L_max to L = 1,", ratio, 1.0))
    return found


STUDY = Study(
    name="pareto",
    title="Quality against compute: the Pareto front",
    claim="Over width, N and L the best distance for a compute budget follows FID = a · G^−b + c, and in each run more "
    "inference loops improve the distance.",
    place="figure of the Pareto front (FID = 1922.5 · G^−0.95 + 1.48), section “Scaling Inference GFLOPs”",
    criterion="The paper's form, with the held-out loss in the place of FID, fitted to the front of each seed, has a "
    f"power b of at least 0 and explains at least {EXPLAINED:.0%} of the variance of the losses; and the loss of each "
    "model at L_max is at most as great as at L = 1.",
    data=f"{WHY_SHAPES} {BY_LOSS} {OWN_RATE} GFLOPs are what sampling does, counted while it runs.",
    limits=f"{SMALL} The front of a few points is fitted by three numbers, so a good fit says little. "
    "All widths start from the same deviation of the parameters.",
    arms=arms,
    judge=judge,
    derive=derive,
    figure=Figure(
        "loss_by_cost", x="gflops", x_title="GFLOPs per sample", y_title="held-out loss", log_x=True, faded=True
    ),
    tables=("held_out_loss", "frechet_distance", "gflops_per_sample"),
    table_x="loops",
)
