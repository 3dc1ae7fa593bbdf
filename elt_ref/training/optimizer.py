"""AdamW, written as a pure function: bias-corrected, ε outside the root, decoupled decay of kernels only.

    m ← β₁ m + (1 − β₁) g          m̂ = m / (1 − β₁ᵗ)
    v ← β₂ v + (1 − β₂) g²         v̂ = v / (1 − β₂ᵗ)        t = 1, 2, …
    θ ← θ − η (m̂ / (√v̂ + ε) + w θ)

Source: Loshchilov and Hutter; w = 0, the default, is Adam, which the paper names.
"""

import math
from functools import partial
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
    parameters: Tree, gradient: Tree, moments: Moments, *, step: int, rate: float, training: TrainingConfig
) -> tuple[Tree, Moments]:
    """Return parameters and moments after one step.

    Args:
        parameters: parameters before the step.
        gradient: gradient of the loss, clipped already.
        moments: moments before the step.
        step: 0 at the first.
        rate: η of this step.
        training: betas, epsilon, weight decay.
    """
    beta1, beta2 = training.beta1, training.beta2
    correction1, correction2 = 1 - beta1 ** (step + 1), 1 - beta2 ** (step + 1)
    new, first, second = [], [], []
    for (name, theta), g, m, v in zip(
        tree_items(parameters), *map(tree_leaves, (gradient, moments.first, moments.second)), strict=True
    ):
        first.append(beta1 * m + (1 - beta1) * g)
        second.append(beta2 * v + (1 - beta2) * (g * g))
        change = (first[-1] / correction1) / (np.sqrt(second[-1] / correction2) + training.epsilon)
        if training.weight_decay and is_kernel(name):
            change = change + training.weight_decay * theta
        new.append(theta - rate * change)
    return tree_rebuild(parameters, new), Moments(tree_rebuild(parameters, first), tree_rebuild(parameters, second))


def is_kernel(name: str) -> bool:
    """Whether the parameter is the weight of a linear map: decayed. Embeddings, norms and biases are not."""
    return name.endswith(".weight")


def clip_gradient(gradient: Tree, largest: float) -> tuple[Tree, float]:
    """Return the gradient scaled to a global norm of at most `largest`, and the norm before."""
    square = 0.0
    for leaf in tree_leaves(gradient):
        square += float(np.vdot(leaf, leaf))
    norm = math.sqrt(square)
    if not norm > largest:  # also where the norm is NaN: the caller must see it
        return gradient, norm
    return tree_map(partial(np.multiply, largest / norm), gradient), norm


def moving_average(average: Tree, parameters: Tree, decay: float) -> Tree:
    """Return decay · average + (1 − decay) · parameters, taken after the step."""
    return tree_map(lambda mean, theta: decay * mean + (1 - decay) * theta, average, parameters)
