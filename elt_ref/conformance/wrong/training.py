"""Mistakes in training steps."""

import math
from functools import partial
from typing import Any

import numpy as np

from elt_ref.arrays import tree_items, tree_leaves, tree_map, tree_rebuild
from elt_ref.config import TrainingConfig
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.conformance.wrong.composed import ComposedBackend
from elt_ref.conformance.wrong.diffusion_parts import Altered, Change, instead
from elt_ref.schedules import learning_rate_at
from elt_ref.training import zero_moments
from elt_ref.training.optimizer import Moments, clip_gradient, is_kernel, moving_average


def _adamw(
    parameters: Any,
    gradient: Any,
    moments: Moments,
    *,
    step: int,
    rate: float,
    training: TrainingConfig,
    inside: bool = False,
    corrected: bool = True,
    coupled: bool = False,
    rated: bool = True,
) -> Any:
    decay = training.weight_decay
    betas = training.beta1, training.beta2
    corrections = [1 - beta ** (step + 1) if corrected else 1.0 for beta in betas]
    leaves = zip(*map(tree_leaves, (gradient, moments.first, moments.second)), strict=True)
    updated = []
    for (name, theta), (g, m, v) in zip(tree_items(parameters), leaves, strict=True):
        pull = decay * theta if is_kernel(name) else 0 * theta
        slope = g + pull if coupled else g
        first = betas[0] * m + (1 - betas[0]) * slope
        second = betas[1] * v + (1 - betas[1]) * slope * slope
        mean, square = first / corrections[0], second / corrections[1]
        change = mean / (np.sqrt(square + training.epsilon) if inside else np.sqrt(square) + training.epsilon)
        decayed = 0 * theta if coupled else pull
        updated.append((theta - rate * change - (rate if rated else 1) * decayed, first, second))
    new, first, second = (tree_rebuild(parameters, list(leaves)) for leaves in zip(*updated, strict=True))
    return new, Moments(first, second)


def _optimised(**how: Any) -> tuple[Change, ...]:
    return instead("training.optimizer", adamw=partial(_adamw, **how))


class AdamEpsilonInside(Altered, ReferenceBackend):
    """ε is added to v̂ inside the root."""

    changes = _optimised(inside=True)


class AdamUncorrected(Altered, ReferenceBackend):
    """There is no bias correction, as in BERT's Adam."""

    changes = _optimised(corrected=False)


class AdamCoupledDecay(Altered, ReferenceBackend):
    """The decay is added to the gradient: L2 regularisation in Adam, which AdamW replaced."""

    changes = _optimised(coupled=True)


class AdamUnratedDecay(Altered, ReferenceBackend):
    """The decay is not multiplied by the learning rate."""

    changes = _optimised(rated=False)


class AdamDecaysEverything(Altered, ReferenceBackend):
    """Biases, norms and embeddings decay too."""

    changes = instead("training.optimizer", is_kernel=lambda _name: True)


def _each_clipped(gradient: Any, largest: float) -> Any:
    norm = clip_gradient(gradient, largest)[1]
    return tree_map(
        lambda leaf: leaf * min(1.0, largest / max(1e-300, float(np.sqrt(np.sum(leaf**2))))), gradient
    ), norm


class ClipsEachTensor(Altered, ReferenceBackend):
    """Every tensor is clipped by its own norm."""

    changes = instead("training.optimizer", clip_gradient=_each_clipped)


def _normalised(gradient: Any, largest: float) -> Any:
    norm = clip_gradient(gradient, largest)[1]
    return tree_map(lambda leaf: leaf * (largest / norm), gradient), norm


class ClipsAlways(Altered, ReferenceBackend):
    """The gradient is scaled to the largest norm even if its norm is smaller."""

    changes = instead("training.optimizer", clip_gradient=_normalised)


def _by_value(gradient: Any, largest: float) -> Any:
    return tree_map(lambda leaf: np.clip(leaf, -largest, largest), gradient), clip_gradient(gradient, largest)[1]


class ClipsByValue(Altered, ReferenceBackend):
    """Each number of the gradient is clipped."""

    changes = instead("training.optimizer", clip_gradient=_by_value)


def _rate(*, first: int, end: int) -> tuple[Change, ...]:
    """Return the change with a warm-up from `first` over W, and a cosine that ends `end` steps early."""

    def rate(step: int, training: TrainingConfig) -> float:
        warmup = training.warmup_steps
        if step < warmup:
            return training.learning_rate * (step + first) / warmup
        if training.schedule == "constant":
            return training.learning_rate
        way = (step - warmup) / max(1, training.steps - end - warmup)
        return training.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, way)))

    return instead("schedules.steps", learning_rate_at=rate)


class WarmupFromZero(Altered, ReferenceBackend):
    """The first step of the warm-up has a learning rate of zero and learns nothing."""

    changes = _rate(first=0, end=0)


class CosineEndsEarly(Altered, ReferenceBackend):
    """The cosine reaches zero at the last step, which learns nothing."""

    changes = _rate(first=1, end=1)


def _whole_cosine(step: int, training: TrainingConfig) -> float:
    if step < training.warmup_steps or training.schedule == "constant":
        return learning_rate_at(step, training)
    return training.learning_rate * 0.5 * (1 + math.cos(math.pi * step / training.steps))


class CosineFromFirstStep(Altered, ReferenceBackend):
    """The cosine is counted from step 0 instead of from the end of the warm-up."""

    changes = instead("schedules.steps", learning_rate_at=_whole_cosine)


class AverageDecaySwapped(Altered, ReferenceBackend):
    """Decay and 1 − decay are swapped: the average nearly equals the last parameters."""

    changes = instead(
        "training.optimizer",
        moving_average=lambda average, parameters, decay: moving_average(average, parameters, 1 - decay),
    )


class AverageBeforeStep(ComposedBackend):
    """The average uses the parameters before the step, one step behind."""

    def update(self, parameters: Any, gradient: Any, moments: Any, average: Any, step: int, training: Any) -> Any:
        new, moments, _ = super().update(parameters, gradient, moments, average, step, training)
        return new, moments, moving_average(average, parameters, training.average_decay)


class MomentsForgotten(ComposedBackend):
    """The optimizer's state is reset at every step."""

    def update(self, parameters: Any, gradient: Any, moments: Any, average: Any, step: int, training: Any) -> Any:
        return super().update(parameters, gradient, zero_moments(moments.first), average, step, training)


class LaterLayersUntrained(ComposedBackend):
    """Only the first layer of the block is updated: the others are in a plain list that the optimizer does not see."""

    def update(self, parameters: Any, gradient: Any, moments: Any, average: Any, step: int, training: Any) -> Any:
        new, moments, average = super().update(parameters, gradient, moments, average, step, training)
        new = {**new, "block": [new["block"][0], *parameters["block"][1:]]}
        return new, moments, average


class StepUnclipped(ComposedBackend):
    """Training steps do not clip the gradient."""

    def update(self, parameters: Any, gradient: Any, moments: Any, average: Any, step: int, training: Any) -> Any:
        unbounded = training.model_copy(update={"gradient_clip": math.inf})
        return super().update(parameters, gradient, moments, average, step, unbounded)


class DrawsRepeated(ReferenceBackend):
    """Every training step uses the draws of the first, as if the generator were created in the step."""

    def masked_training(self, **arguments: Any) -> Any:
        return super().masked_training(**_repeated(arguments, ("mask_ratio", "mask_order", "label_drop")))

    def diffusion_training(self, **arguments: Any) -> Any:
        return super().diffusion_training(**_repeated(arguments, ("time", "noise", "label_drop")))


def _repeated(arguments: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return arguments | {name: np.repeat(arguments[name][:1], len(arguments[name]), axis=0) for name in names}
