"""Study 5: quality against parameters and width."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from elt_ref.measure.count import parameter_count
from elt_ref.measure.interval import t_interval
from elt_ref.study.claims.common import BY_LOSS, OWN_RATE, SMALL, WHY_SHAPES, looped
from elt_ref.study.declare import Arm, Figure, Study
from elt_ref.study.rows import Rows
from elt_ref.study.verdict import Finding, at_most

DEPTH = 8
NARROW_TO_WIDE = 0.9


def arms(quick: bool) -> Sequence[Arm]:
    """Return models over width and N, all of depth 8; N · L_max = 8 keeps the compute of a width."""
    made = []
    for width in (16, 32) if quick else (24, 48, 64):
        for layers in (2, 4) if quick else (1, 2, 4):
            more: dict[str, Any] = {"model__width": width, "model__mlp_width": 4 * width}
            arm = looped(f"d = {width}, {layers} × {DEPTH // layers}", layers, DEPTH // layers, quick=quick, **more)
            count = parameter_count(arm.config(0), "block.")
            made.append(Arm(**{**vars(arm), "labels": {**arm.labels, "parameters": count, "series": f"d = {width}"}}))
    return made


def derive(rows: Rows) -> Sequence[Mapping[str, Any]]:
    """Return the rows of losses once more, over the parameters."""
    return [{**row, "measure": "loss_by_parameters"} for row in rows.matching({"measure": "held_out_loss"})]


def slopes(rows: Rows) -> np.ndarray:
    """Return, a seed, the slope of log loss over log parameters across all models."""
    models = rows.matching({"measure": "held_out_loss"})
    sizes = np.log([row["parameters"] for row in models])
    values = np.log([[math.nan if value is None else value for value in row["values"]] for row in models])
    return np.array([np.polyfit(sizes, seed, 1)[0] if np.isfinite(seed).all() else math.nan for seed in values.T])


def judge(rows: Rows) -> Sequence[Finding]:
    """Return the findings about width, and about parameters."""
    widths = rows.labels("width", measure="held_out_loss")
    found = [
        at_most(
            f"At N = {layers}, the ratio of losses, width {max(widths)} to width {min(widths)},",
            rows.ratio("held_out_loss", *({"N": layers, "width": width} for width in (max(widths), min(widths)))),
            NARROW_TO_WIDE,
        )
        for layers in rows.labels("N", measure="held_out_loss")
    ]
    by_width, by_layers = power_of(rows, "width", "N"), power_of(rows, "N", "width")
    return [
        *found,
        at_most("The power of the parameters in the loss", t_interval(slopes(rows)), 0.0),
        at_most("Their power by width, less their power by N,", t_interval(by_width - by_layers), 0.0),
    ]


def power_of(rows: Rows, grown: str, fixed: str) -> np.ndarray:
    """Return, a seed, the power of the parameters where only `grown` grows, from its least to its greatest value.

    It is the mean over the values of the label `fixed`.
    """
    powers = []
    for value in rows.labels(fixed, measure="held_out_loss"):
        where = {"measure": "held_out_loss", fixed: value}
        sizes = rows.labels(grown, **where)
        (small,), (large,) = (rows.matching({**where, grown: size}) for size in (min(sizes), max(sizes)))
        gain = np.log(rows.values(**where, **{grown: max(sizes)}) / rows.values(**where, **{grown: min(sizes)}))
        powers.append(gain / math.log(large["parameters"] / small["parameters"]))
    return np.mean(powers, axis=0)


STUDY = Study(
    name="scaling",
    title="Quality against parameters and width",
    claim="The best distance falls with the number of parameters as a power law, and most where the width grows.",
    place="figure “Scaling with Parameters”, section “Scaling Parameters”",
    criterion=f"At each N, the widest model has at most {NARROW_TO_WIDE:g} times the held-out loss of the "
    "narrowest; and the slope of log loss over log looped parameters, across all models, is at most 0, and "
    "lower by width alone than by N alone.",
    data=f"{WHY_SHAPES} {BY_LOSS} {OWN_RATE} All have depth 8.",
    limits=f"{SMALL} All widths start from the same deviation of the parameters. A held-out loss has a floor "
    "above 0, for what is masked is not determined; so ratios of losses are nearer to 1 than distances would have, and "
    "0.9 asks more than it seems.",
    arms=arms,
    judge=judge,
    derive=derive,
    figure=Figure(
        "loss_by_parameters",
        x="parameters",
        x_title="looped parameters",
        y_title="held-out loss",
        series="series",
        log_x=True,
    ),
    tables=("held_out_loss", "frechet_distance"),
    table_x="N",
)
