"""The loss figure: the terms of the objective over training, and the weight λ that trades them."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from elt_ref.errors import RequestError
from elt_ref.report.figure import INK, honest_values, label, new_figure, save_figure, tidy
from elt_ref.report.results import model_label

Metrics: TypeAlias = Mapping[str, Sequence[Mapping[str, Any]]]
"""One mapping per model and logged step: ``step``, loss terms by name, and ``truth_weight`` (λ) if it is used."""

TERMS = {
    "teacher_truth": ("all loops against the truth", "#0072b2"),
    "student_truth": ("student against the truth", "#d55e00"),
    "distillation": ("student against all loops", "#009e73"),
}
LINES = ("-", "--", "-.", ":")
SMOOTHED_SHARE = 40
"""Divisor of the smoothing window: a smoothed line averages over one fortieth of all logged steps."""


def draw_loss_curves(path: Path, metrics: Metrics) -> None:
    """Write ``loss.png``: each loss term over the training steps, smoothed, with the raw values faint behind it.

    A second panel shows λ, the weight of the truth in the student's loss, for the models that have one.
    The loss axis starts at 0; if values differ by more than a factor of 20, it is logarithmic and says so.

    Args:
        path: The PNG to write.
        metrics: Logged steps per model, in order. Keys used: ``step``, ``teacher_truth``, ``student_truth``,
            ``distillation``, ``truth_weight``; ``step`` and at least one loss term are required.

    Raises:
        RequestError: If no term was logged, a value is not finite, or the file cannot be written.
    """
    curves = {(name, key): _curve(name, rows, key) for name, rows in metrics.items() for key in TERMS}
    curves = {place: curve for place, curve in curves.items() if curve is not None}
    if not curves:
        raise RequestError(f"metrics: expected steps with one of {', '.join(TERMS)}, got none")
    weights = {name: _curve(name, rows, "truth_weight") for name, rows in metrics.items()}
    weights = {name: curve for name, curve in weights.items() if curve is not None}

    figure = new_figure(8.0, 5.4 if weights else 4.2)
    panels = figure.subplots(
        2 if weights else 1, 1, sharex=True, squeeze=False, height_ratios=[3, 1] if weights else [1]
    )[:, 0]
    figure.suptitle("Loss over training", x=0.02, ha="left", fontsize=13, weight="bold", color=INK)
    styles = dict(zip(metrics, LINES * len(metrics), strict=False))
    smooth_values = []
    for (name, key), (steps, values) in curves.items():
        smoothed = smooth(values, max(1, len(values) // SMOOTHED_SHARE))
        smooth_values += smoothed.tolist()
        words, colour = TERMS[key]
        panels[0].plot(steps, values, color=colour, linewidth=0.6, alpha=0.25)
        named = label(f"{model_label(name)}: {words}")
        panels[0].plot(steps, smoothed, color=colour, linewidth=2, linestyle=styles[name], label=named)
    scale = honest_values(panels[0], smooth_values)
    panels[0].set_ylabel(f"loss{scale}", fontsize=10, color=INK)
    _legend(panels[0])

    if weights:
        for name, (steps, values) in weights.items():
            named = label(model_label(name))
            panels[1].plot(steps, values, color=INK, linewidth=2, linestyle=styles[name], label=named)
        panels[1].set_ylim(-0.04, 1.04)
        panels[1].set_ylabel("λ, weight\nof the truth", fontsize=10, color=INK)
        if len(weights) > 1:
            _legend(panels[1])
    panels[-1].set_xlabel("training step", fontsize=10, color=INK)
    for axes in panels:
        axes.margins(x=0.01)
        tidy(axes)
    save_figure(figure, path)


def smooth(values: Float[np.ndarray, "steps"], window: int) -> Float[np.ndarray, "steps"]:
    """Return the moving mean of the values at most `window` places away; fewer at both ends."""
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    places = np.arange(len(values))
    low, high = np.maximum(places - window, 0), np.minimum(places + window + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)


def _curve(name: str, rows: Sequence[Mapping[str, Any]], key: str) -> tuple[np.ndarray, np.ndarray] | None:
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
