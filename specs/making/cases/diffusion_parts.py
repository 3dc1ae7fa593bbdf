"""DIFFBLOCK and DIFFGRAD: layer, conditioning, final layer, and the gradient of the diffusion family."""

from typing import Any

import numpy as np

from specs.making.case import Case
from specs.making.cases.material import diffusion_section, normal, parameters
from specs.making.cases.weights import loss


def layer(
    clause: str, slug: str, why: str, *, size: float = 1.0, epsilon: float = 1e-6, heads: int = 2, tokens: int = 5
) -> Case:
    """Return a case of one layer; `size` is the deviation of its input."""
    width, name = 8, f"layer/{slug}"
    prefix = "parameters.block.0."
    drawn = parameters(diffusion_section(layers=1, width=width), name)
    return Case(
        clause,
        slug,
        "diffusion_layer",
        why,
        {"heads": heads, "epsilon": epsilon},
        {
            **{key.replace("block.0.", ""): value for key, value in drawn.items() if key.startswith(prefix)},
            "x": size * normal(f"{name}/x", 2, tokens, width),
            "conditioning": normal(f"{name}/conditioning", 2, width),
        },
    )


def forward(
    clause: str,
    slug: str,
    why: str,
    labels: tuple[int, ...],
    times: tuple[float, ...],
    loops: int = 1,
    **changes: Any,
) -> Case:
    """Return a case of the whole network."""
    model, name = diffusion_section(**changes), f"forward/{slug}"
    return Case(
        clause,
        slug,
        "diffusion_forward",
        why,
        {"model": model, "loops": loops},
        {
            **parameters(model, name),
            "noisy": normal(f"{name}/noisy", len(times), *model["shape"]),
            "time": np.array(times),
            "labels": np.array(labels),
        },
    )


CASES = (
    layer("DIFFBLOCK-01", "two-heads", "six chunks of the modulation, each in its place, made of SiLU(c)"),
    layer("DIFFBLOCK-01", "one-head", "one head: the order of the chunks, and 1 + scale", heads=1, tokens=3),
    layer("DIFFBLOCK-01", "one-token", "a single token: attention is its value, gates and shifts are left", tokens=1),
    layer("DIFFBLOCK-01", "small-state", "a state whose variance is about ε: which ε, and where it stands", size=1e-3),
    layer("DIFFBLOCK-01", "other-epsilon", "an ε that is no default, with a state to match", size=0.02, epsilon=5e-4),
    layer("DIFFBLOCK-01", "large-state", "a large state: the variance is over d, the GELU is the tanh form", size=3.0),
    forward(
        "DIFFBLOCK-02",
        "classes",
        "every class and no class: rows of the label table",
        (0, 1, 2, 3),
        (0.1, 0.4, 0.6, 0.9),
    ),
    forward(
        "DIFFBLOCK-02",
        "no-class",
        "no class alone, at time 1: the last row of the table, not none",
        (3,),
        (1.0,),
        classes=3,
    ),
    forward(
        "DIFFBLOCK-02",
        "unscaled-time",
        "times of another scale: SiLU between the maps",
        (1, 0),
        (0.0, 0.5),
        time_scale=10.0,
    ),
    forward("DIFFBLOCK-03", "one-loop", "shift, then scale of the last norm", (0, 2), (0.3, 0.8)),
    forward("DIFFBLOCK-03", "three-loops", "the final layer after three loops, once", (1, 3), (0.2, 0.7), loops=3),
    forward(
        "DIFFBLOCK-03",
        "odd-sides",
        "patches of one value, one layer, one head",
        (2,),
        (0.5,),
        loops=2,
        shape=[3, 1, 2],
        patch_size=1,
        layers=1,
        heads=1,
        time_scale=10.0,
    ),
    loss(
        "DIFFDISTIL-02",
        "whole",
        "the gradient of every parameter, through every loop, of both paths",
        gradient=True,
        student=2,
        layers=2,
        times=(0.2, 0.8),
    ),
    loss(
        "DIFFDISTIL-02",
        "vanilla",
        "the teacher alone, three loops, of a network that predicts ε",
        gradient=True,
        student=None,
        times=(0.35, 0.55),
        noise={"prediction": "epsilon"},
    ),
    loss(
        "DIFFDISTIL-02",
        "sum-of-clean",
        "the sum over values of errors of x0",
        gradient=True,
        reduction="sum",
        times=(0.45,),
    ),
    loss(
        "DIFFDISTIL-02",
        "sum",
        "the sum over values, two heads, λ = 1",
        gradient=True,
        truth_weight=1.0,
        reduction="sum",
        times=(0.7,),
        noise={"prediction": "v", "bias": 2.0},
    ),
)
