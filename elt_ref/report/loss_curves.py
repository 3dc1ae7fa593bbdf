"""The loss figure: the terms of the objective over training, and the weight λ that trades them."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Shaped

from elt_ref.errors import RequestError
from elt_ref.report.figure import (
    INK,
    MODEL_COLOURS,
    Axes,
    honest_values,
    label,
    new_figure,
    own_style,
    save_figure,
    tidy,
)
from elt_ref.report.results import model_label

Metrics: TypeAlias = Mapping[str, Sequence[Mapping[str, Any]]]
"""One mapping per model and logged step: ``step``, loss terms by name, and ``truth_weight`` (λ) if it is used."""

Curve: TypeAlias = tuple[Shaped[np.ndarray, " steps"], Float[np.ndarray, " steps"]]
"""Steps and their values."""
Curves: TypeAlias = Mapping[str, Mapping[str, Curve]]
"""Curves by term and model, in the order of `TERMS`; λ is last."""

TERMS = {
    "teacher_truth": "all loops against the truth",
    "student_truth": "student against the truth",
    "distillation": "student against all loops",
}
WEIGHT = "λ, weight of the truth"
SMOOTHED_SHARE = 40
"""Divisor of the smoothing window: a smoothed line averages over one fortieth of all logged steps."""


@own_style()
def draw_loss_curves(path: Path, metrics: Metrics) -> None:
    """Write ``loss.png``: a panel for each loss term over the training steps, smoothed, the raw values faint.

    A model has the same colour in every panel, and the terms the same axis, so that they can be compared. A last panel
    shows λ, the weight of the truth in the student's loss, for the models that have one. The loss axis starts at 0; if
    values differ by more than a factor of 20, it is logarithmic and says so.

    Args:
        path: The PNG to write.
        metrics: Logged steps per model, in order. Keys used: ``step``, ``teacher_truth``, ``student_truth``,
            ``distillation``, ``truth_weight``; ``step`` and at least one loss term are required.

    Raises:
        RequestError: If no term was logged, a value is not finite, or the file cannot be written.
    """
    curves = loss_curves(metrics)
    terms = [key for key in TERMS if curves[key]]
    shown = [*terms, *(["truth_weight"] if curves["truth_weight"] else [])]
    columns = min(2, len(shown))
    figure = new_figure(8.0, 2.0 + 1.9 * math.ceil(len(shown) / columns))
    panels = figure.subplots(math.ceil(len(shown) / columns), columns, sharex=True, squeeze=False).ravel()
    figure.suptitle("Loss over training", x=0.02, ha="left", fontsize=13, weight="bold", color=INK)
    colours = dict(zip(metrics, MODEL_COLOURS * len(metrics), strict=False))
    smooth_values = []
    for axes, key in zip(panels, shown, strict=False):
        axes.set_title(TERMS.get(key, WEIGHT), loc="left", fontsize=10, color=INK)
        for name, (steps, values) in curves[key].items():
            _, line = smoothed(key, (steps, values))
            if key in TERMS:
                smooth_values += line.tolist()
                axes.plot(steps, values, color=colours[name], linewidth=0.6, alpha=0.25)
            axes.plot(steps, line, color=colours[name], linewidth=2, label=label(model_label(name)))
        axes.margins(x=0.01)
        tidy(axes)
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    for axes in panels[: len(terms)]:
        scale = honest_values(axes, smooth_values)
        axes.set_ylabel(f"loss{scale}", fontsize=10, color=INK)
    if curves["truth_weight"]:
        panels[len(terms)].set_ylim(-0.04, 1.04)
    for axes in panels[max(0, len(shown) - columns) : len(shown)]:
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("training step", fontsize=10, color=INK)
    _legend(panels[0])
    save_figure(figure, path)


def loss_curves(metrics: Metrics) -> Curves:
    """Return the curves of every term and of λ, of the models that log them.

    Raises:
        RequestError: If no term was logged, or a value is not finite.
    """
    curves = {
        key: {name: curve for name, rows in metrics.items() if (curve := _curve(name, rows, key)) is not None}
        for key in (*TERMS, "truth_weight")
    }
    if not any(curves[key] for key in TERMS):
        raise RequestError(f"metrics: expected steps with one of {', '.join(TERMS)}, got none")
    return curves


def smoothed(key: str, curve: Curve) -> Curve:
    """Return the smooth curve of a term; λ stays as it is."""
    steps, values = curve
    return steps, values if key not in TERMS else smooth(values, max(1, len(values) // SMOOTHED_SHARE))


def smooth(values: Float[np.ndarray, "steps"], window: int) -> Float[np.ndarray, "steps"]:
    """Return the moving mean of the values at most `window` places away; fewer at both ends."""
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    places = np.arange(len(values))
    low, high = np.maximum(places - window, 0), np.minimum(places + window + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)


def _curve(name: str, rows: Sequence[Mapping[str, Any]], key: str) -> Curve | None:
    """Return (steps [n], values [n]) of the rows with `key`, or None if no row has it."""
    held = [row for row in rows if row.get(key) is not None]
    for row in held:
        if "step" not in row or not math.isfinite(row[key]):
            raise RequestError(f"metrics[{name!r}]: expected a step and a finite {key}, got {dict(row)}")
    if not held:
        return None
    return np.array([row["step"] for row in held]), np.array([row[key] for row in held], dtype=np.float64)


def _legend(axes: Axes) -> None:
    axes.legend(facecolor="white", edgecolor="none", framealpha=0.9, fontsize=9, labelcolor=INK, handlelength=2.6)
