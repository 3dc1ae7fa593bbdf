"""The losses inside the page: a panel for each term over the training steps, a colour a model."""

from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element

import numpy as np

from elt_ref.report.axes import WIDTH, Scale, path, round_step, tag, text
from elt_ref.report.loss_curves import TERMS, WEIGHT, Curve, Curves, smoothed
from elt_ref.report.markup import element
from elt_ref.report.results import model_label

HEIGHT = 190.0
LEFT, RIGHT, TOP, BOTTOM = 40.0, 20.0, 26.0, 32.0
"""Margins for the numbers, for half a number of a step, for the name of the term, and for the steps below."""
MOST_POINTS = 300
"""Points of a line; a longer training is thinned."""


def loss_panels(models: Sequence[str], curves: Curves) -> list[Element]:
    """Return the legend and an SVG element of class ``loss`` for each term; all terms share one axis.

    Args:
        models: All models of the page in order, which gives each its colour.
        curves: The curves of `elt_ref.report.loss_curves.loss_curves`.
    """
    shown = [name for name in models if any(name in by_model for by_model in curves.values())]
    names = [
        element(
            "li", element("span", "━ ", aria_hidden="true"), model_label(name), class_=f"model-{models.index(name)}"
        )
        for name in shown
    ]
    lines = {key: {name: smoothed(key, curve) for name, curve in by_model.items()} for key, by_model in curves.items()}
    losses = [value for key in TERMS for _, values in lines[key].values() for value in values.tolist()]
    last = max(int(steps[-1]) for by_model in curves.values() for steps, _ in by_model.values())
    panels = []
    for key, by_model in curves.items():
        if not by_model:
            continue
        scale = Scale(losses if key in TERMS else [0.0, 1.0], TOP, HEIGHT - BOTTOM)
        raw = by_model if key in TERMS else {}
        panels.append(_panel(TERMS.get(key, WEIGHT), models, raw, lines[key], scale, last))
    return [element("ul", *names, class_="legend"), element("div", *panels, class_="panels")]


def _panel(
    title: str, models: Sequence[str], raw: Mapping[str, Curve], lines: Mapping[str, Curve], scale: Scale, last: int
) -> Element:
    right = WIDTH - RIGHT
    final = {model_label(name): f"{values[-1]:.3g}" for name, (_, values) in lines.items()}
    logarithmic = " (log scale)" if scale.logarithmic else ""
    drawing = element(
        "svg",
        text(f"{title}{logarithmic}", "title", 4, 14, anchor="start"),
        *scale.rules(LEFT, right),
        class_="loss",
        viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
        role="img",
        aria_label=f"{title}, by training step; at the end {', '.join(f'{n}: {v}' for n, v in final.items())}.",
    )
    for count in range(0, last + 1, max(1, round(round_step(max(1, last))))):
        across = _across(count, last)
        drawing.append(tag("line", "tick", x1=across, x2=across, y1=scale.ground, y2=scale.ground + 3))
        drawing.append(text(f"{count:,}", "number", across, scale.ground + 14, anchor="middle"))
    drawing.append(text("training step", "number", (LEFT + right) / 2, HEIGHT - 4, anchor="middle"))
    for kind, curves in (("raw", raw), ("line", lines)):
        for name, (steps, values) in curves.items():
            some = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), MOST_POINTS)).round().astype(int))
            points = [(_across(float(steps[at]), last), scale.y(float(values[at]))) for at in some]
            line = path("", "polyline", points)
            drawing.append(element("g", line, class_=f"{kind} model-{models.index(name)}"))
    return drawing


def _across(step: float, last: int) -> float:
    return LEFT + (WIDTH - RIGHT - LEFT) * step / max(1, last)
