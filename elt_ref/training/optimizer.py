"""AdamW, written as a pure function: bias-corrected, ε outside the root, decoupled decay of kernels only.

    m ← β₁ m + (1 − β₁) g          m̂ = m / (1 − β₁ᵗ)
    v ← β₂ v + (1 − β₂) g²         v̂ = v / (1 − β₂ᵗ)        t = 1, 2, …
    θ ← θ − η (m̂ / (√v̂ + ε) + w θ)

Source: Loshchilov and Hutter; w = 0, the default, is Adam, which the paper names.
"""

import math
from typing import NamedTuple

import numpy as np

from elt_ref.arrays import Tree, tree_items, tree_leaves, tree_map, tree_rebuild
from elt_ref.config import TrainingConfig


class Moments(NamedTuple):
    """Running means of the gradient and of its square; trees like the parameters."""

    first: Tree
    second: Tree


def zero_moments(parameters: Tree) -> Moments:
    """Return the moments before the first step."""
    return Moments(tree_map(np.zeros_like, parameters), tree_map(np.zeros_like, parameters))


def adamw(
    parameters: Tree, gradient: Tree, moments: Moments, *, step: int, training: TrainingConfig
) -> tuple[Tree, Moments]:
    """Return parameters and moments after one step.

    Args:
        parameters: before the step.
        gradient: of the loss, clipped already.
        moments: before the step.
        step: 0 at the first.
        training: learning rate and its schedule, betas, epsilon, weight decay.
    """
    rate = learning_rate_at(step, training)
    beta1, beta2 = training.beta1, training.beta2
    correction1, correction2 = 1 - beta1 ** (step + 1), 1 - beta2 ** (step + 1)

    def update(name: str, theta: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, ...]:
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * (g * g)
        change = (m / correction1) / (np.sqrt(v / correction2) + training.epsilon)
        if training.weight_decay and is_kernel(name):
            change = change + training.weight_decay * theta
        return theta - rate * change, m, v

    updated = [
        update(name, theta, g, m, v)
        for (name, theta), g, m, v in zip(
            tree_items(parameters), *map(tree_leaves, (gradient, moments.first, moments.second)), strict=True
        )
    ]
    new, first, second = (tree_rebuild(parameters, list(leaves)) for leaves in zip(*updated, strict=True))
    return new, Moments(first, second)


def is_kernel(name: str) -> bool:
    """Whether the parameter is the weight of a linear map: decayed. Embeddings, norms and biases are not."""
    return name.endswith(".weight")


def learning_rate_at(step: int, training: TrainingConfig) -> float:
    """Return η of step `step`: a linear warm-up from 1/W of the rate, then constant, or a cosine to zero.

    The cosine would be at zero one step after the last, so that the last step still learns.
    """
    warmup, rate = training.warmup_steps, training.learning_rate
    if step < warmup:
        return rate * (step + 1) / warmup
    if training.schedule == "constant":
        return rate
    way = (step - warmup) / max(1, training.steps - warmup)
    return rate * 0.5 * (1 + math.cos(math.pi * min(1.0, way)))


def clip_gradient(gradient: Tree, largest: float) -> tuple[Tree, float]:
    """Return the gradient scaled to a global norm of at most `largest`, and the norm it had."""
    norm = math.sqrt(sum(float(np.vdot(leaf, leaf)) for leaf in tree_leaves(gradient)))
    if not norm > largest:  # also where the norm is NaN: the caller must see it
        return gradient, norm
    scale = largest / norm
    return tree_map(lambda leaf: leaf * scale, gradient), norm


def moving_average(average: Tree, parameters: Tree, decay: float) -> Tree:
    """Return decay · average + (1 − decay) · parameters, taken after the step."""
    return tree_map(lambda mean, theta: decay * mean + (1 - decay) * theta, average, parameters)
