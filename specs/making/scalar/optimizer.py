"""AdamW, the learning rate, clipping and the moving average, over flat dicts of nested lists.

    m ← β₁ m + (1 − β₁) g        v ← β₂ v + (1 − β₂) g²        t = 1, 2, …
    θ ← θ − η ((m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε) + w θ)

The decay w applies only to kernels: parameters whose name ends in ``.weight``.
"""

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

from specs.making.scalar.nesting import flat, nested

Section = Mapping[str, Any]
Named: TypeAlias = dict[str, list]


def adamw(
    training: Section, step: int, parameters: Named, gradient: Named, first: Named, second: Named
) -> tuple[Named, Named, Named]:
    """Return parameters and both moments after step `step`, counted from 0."""
    beta1, beta2, epsilon = training["beta1"], training["beta2"], training["epsilon"]
    rate = learning_rate(training, step)
    time = step + 1
    new: tuple[Named, Named, Named] = ({}, {}, {})
    for name, theta in parameters.items():
        decay = training["weight_decay"] if name.endswith(".weight") else 0.0

        def moved(x: float, m: float, v: float, decay: float = decay) -> float:
            direction = (m / (1 - beta1**time)) / (math.sqrt(v / (1 - beta2**time)) + epsilon)
            return x - rate * (direction + decay * x)

        g = gradient[name]
        m = nested(lambda m, g: beta1 * m + (1 - beta1) * g, first[name], g)
        v = nested(lambda v, g: beta2 * v + (1 - beta2) * g * g, second[name], g)
        new[0][name], new[1][name], new[2][name] = nested(moved, theta, m, v), m, v
    return new


def learning_rate(training: Section, step: int) -> float:
    """Return η: (k + 1)/W of the rate in the warm-up; then constant, or half a cosine over the remaining steps.

    The cosine reaches zero one step after the last.
    """
    warmup, rate = training["warmup_steps"], training["learning_rate"]
    if step < warmup:
        return rate * (step + 1) / warmup
    if training["schedule"] == "constant":
        return rate
    return rate * (1 + math.cos(math.pi * (step - warmup) / (training["steps"] - warmup))) / 2


def clip_gradient(gradient: Named, largest: float) -> tuple[Named, float]:
    """Return the gradient, scaled down to the global norm `largest` if it exceeds it, and the original norm."""
    norm = math.sqrt(math.fsum(x * x for leaf in gradient.values() for x in flat(leaf)))
    scale = largest / norm if norm > largest else 1.0
    return {name: nested(lambda x: x * scale, leaf) for name, leaf in gradient.items()}, norm


def moving_average(average: Named, parameters: Named, decay: float) -> Named:
    """Return decay · average + (1 − decay) · parameters."""
    return {
        name: nested(lambda mean, x: decay * mean + (1 - decay) * x, average[name], leaf)
        for name, leaf in parameters.items()
    }
