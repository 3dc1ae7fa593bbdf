"""AdamW, written as a pure function: bias-corrected, ε outside the root, decoupled decay of kernels only.

    m ← β₁ m + (1 − β₁) g          m̂ = m / (1 − β₁ᵗ)
    v ← β₂ v + (1 − β₂) g²         v̂ = v / (1 − β₂ᵗ)        t = 1, 2, …
    θ ← θ − η (m̂ / (√v̂ + ε) + w θ)

Every function lays the numbers of a tree one behind the other and works on all at once: a tree has dozens of small
leaves, and a call of NumPy costs as much as a thousand numbers.

Source: Loshchilov and Hutter; w = 0, the default, is Adam, which the paper names.
"""

import math
from typing import NamedTuple

import numpy as np

from elt_ref.arrays import Tree, tree_flat, tree_items, tree_leaves, tree_map, tree_unflat
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
    theta, g, first, second = map(tree_flat, (parameters, gradient, moments.first, moments.second))
    first *= beta1
    first += (1 - beta1) * g
    g *= g
    g *= 1 - beta2
    second *= beta2
    second += g
    change = second / (1 - beta2 ** (step + 1))
    np.sqrt(change, out=change)
    change += training.epsilon
    np.divide(first / (1 - beta1 ** (step + 1)), change, out=change)
    if training.weight_decay:
        for (name, update), leaf in zip(
            tree_items(tree_unflat(parameters, change)), tree_leaves(parameters), strict=True
        ):
            if is_kernel(name):
                update[...] += training.weight_decay * leaf
    change *= rate
    theta -= change
    return tree_unflat(parameters, theta), Moments(tree_unflat(parameters, first), tree_unflat(parameters, second))


def is_kernel(name: str) -> bool:
    """Whether the parameter is the weight of a linear map: decayed. Embeddings, norms and biases are not."""
    return name.endswith(".weight")


def clip_gradient(gradient: Tree, largest: float) -> tuple[Tree, float]:
    """Return the gradient scaled to a global norm of at most `largest`, and the norm before."""
    numbers = tree_flat(gradient)
    # A product of BLAS would sum in an order that depends on where the array lies in memory.
    norm = math.sqrt(np.square(numbers).sum(dtype=np.float64))
    if not norm > largest:  # also where the norm is NaN: the caller must see it
        return gradient, norm
    numbers *= largest / norm
    return tree_unflat(gradient, numbers), norm


def moving_average(average: Tree, parameters: Tree, decay: float) -> Tree:
    """Return decay · average + (1 − decay) · parameters, taken after the step."""
    mean, theta = tree_flat(average), tree_flat(parameters)
    mean *= decay
    theta *= 1 - decay
    mean += theta
    return tree_unflat(average, mean)
