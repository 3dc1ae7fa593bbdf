"""Training from step 0: gradient, clipping, AdamW, moving average at each step; the same for both families.

Moments begin at zero, the average at the parameters.
"""

from collections.abc import Callable, Mapping
from typing import Any

from specs.making.scalar.losses import Terms, truth_weight_at, weigh
from specs.making.scalar.nesting import nested
from specs.making.scalar.optimizer import Named, adamw, clip_gradient, moving_average
from specs.making.scalar.values import gradient

Section = Mapping[str, Any]


def train(
    training: Section, parameters: Named, terms_at: Callable[[int, Named], Terms], steps: int
) -> tuple[Named, Named, list[float]]:
    """Return parameters, average and the losses of the steps, each before its update.

    Args:
        training: the configuration's section.
        parameters: the initial parameters.
        terms_at: returns the terms of E5 at a step, with these parameters.
        steps: number of steps to take; λ and the learning rate use ``training["steps"]``.
    """
    average = parameters
    first = {name: nested(lambda _: 0.0, leaf) for name, leaf in parameters.items()}
    second, losses = first, []
    for step in range(steps):
        truth_weight = truth_weight_at(step, training["steps"])

        def objective(values: Named, step: int = step, truth_weight: float = truth_weight) -> Any:
            return weigh(terms_at(step, values), truth_weight)

        loss, slopes = gradient(objective, parameters)
        slopes, _ = clip_gradient(slopes, training["gradient_clip"])
        parameters, first, second = adamw(training, step, parameters, slopes, first, second)
        average = moving_average(average, parameters, training["average_decay"])
        losses.append(loss)
    return parameters, average, losses
