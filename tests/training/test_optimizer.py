"""AdamW, clipping and averaging against scalars computed one by one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import tiny

from elt_ref.arrays import tree_items, tree_leaves, tree_map
from elt_ref.config import TrainingConfig
from elt_ref.model import init_parameters
from elt_ref.schedules import learning_rate_at
from elt_ref.training import adamw, clip_gradient, moving_average, zero_moments
from elt_ref.training.optimizer import is_kernel


def scalar_adamw(theta, gradients, *, rates, beta1, beta2, epsilon, decay):
    """The textbook, on one number: Adam's update with bias correction, and decoupled decay."""
    m = v = 0.0
    for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        theta = theta - rate * m_hat / (math.sqrt(v_hat) + epsilon) - rate * decay * theta
    return theta


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_five_steps_against_scalars(decay, schedule):
    training = TrainingConfig(
        steps=5,
        warmup_steps=2,
        learning_rate=0.05,
        schedule=schedule,
        beta1=0.8,
        beta2=0.9,
        epsilon=1e-3,
        weight_decay=decay,
    )
    after_warmup = [1.0, 0.75, 0.25] if schedule == "cosine" else [1.0] * 3
    rates = [0.05 * share for share in (0.5, 1.0, *after_warmup)]
    draw = np.random.default_rng(0)
    start = {"map": {"weight": draw.normal(size=(2, 3)), "bias": draw.normal(size=3)}, "word": draw.normal(size=(2, 2))}
    gradients = [tree_map(lambda leaf: draw.normal(size=leaf.shape), start) for _ in range(5)]
    parameters, moments = start, zero_moments(start)
    for step, gradient in enumerate(gradients):
        rate = learning_rate_at(step, training)
        parameters, moments = adamw(parameters, gradient, moments, step=step, rate=rate, training=training)
    for (name, leaf), first, *given_gradients in zip(
        tree_items(parameters), tree_leaves(start), *map(tree_leaves, gradients), strict=True
    ):
        for index in np.ndindex(leaf.shape):
            expected = scalar_adamw(
                first[index],
                [gradient[index] for gradient in given_gradients],
                rates=rates,
                beta1=0.8,
                beta2=0.9,
                epsilon=1e-3,
                decay=decay if name == "map.weight" else 0.0,
            )
            assert math.isclose(leaf[index], expected, rel_tol=1e-12), f"{name}{index}: {leaf[index]} is not {expected}"


def test_decay_is_of_the_kernels_of_linear_maps_only():
    parameters = init_parameters(tiny())
    kernels = {name for name, _ in tree_items(parameters) if is_kernel(name)}
    assert kernels == {
        "block.0.attention.query_key_value.weight",
        "block.0.attention.output.weight",
        "block.0.mlp.up.weight",
        "block.0.mlp.down.weight",
        "head.dense.weight",
    }


def test_the_first_step_moves_every_number_by_the_rate():
    """Bias correction: at t = 1 the update is g / (|g| + ε), whatever the size of g."""
    training = TrainingConfig(epsilon=1e-12)
    start = {"bias": np.array([1.0, 1.0, 1.0])}
    gradient = {"bias": np.array([1e-3, -1.0, 1e3])}
    moved, _ = adamw(start, gradient, zero_moments(start), step=0, rate=0.25, training=training)
    np.testing.assert_allclose(moved["bias"], [0.75, 1.25, 0.75])


# --- clipping


def test_a_gradient_above_the_limit_is_scaled_to_it():
    gradient = {"a": np.array([3.0]), "b": [np.array([[4.0]])]}
    clipped, norm = clip_gradient(gradient, 1.0)
    assert norm == 5.0, "the norm is global, and that before clipping"
    assert clipped["a"].item() == pytest.approx(0.6)
    assert clipped["b"][0].item() == pytest.approx(0.8)
    assert gradient["a"].item() == 3.0, "the gradient was changed in place"


def test_a_gradient_within_the_limit_stays():
    gradient = {"a": np.array([3.0, 4.0])}
    for limit in (5.0, 6.0):
        clipped, norm = clip_gradient(gradient, limit)
        assert clipped["a"] is gradient["a"]
        assert norm == 5.0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_gradient_that_is_no_number_is_not_hidden(value):
    with np.errstate(invalid="ignore"):
        _, norm = clip_gradient({"a": np.array([value, 1.0])}, 1.0)
    assert not math.isfinite(norm)


# --- moving average


@given(st.floats(0, 1, exclude_max=True), st.floats(-9, 9), st.floats(-9, 9))
def test_moving_average(decay, mean, theta):
    averaged = moving_average({"a": np.array([mean])}, {"a": np.array([theta])}, decay)
    assert averaged["a"].item() == decay * mean + (1 - decay) * theta


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_widens(dtype):
    tree = {"weight": np.ones((2, 2), dtype)}
    training = TrainingConfig(weight_decay=0.1)
    moved, moments = adamw(tree, tree, zero_moments(tree), step=0, rate=1e-3, training=training)
    clipped, _ = clip_gradient(tree, 0.5)
    for result in (moved, *moments, clipped, moving_average(tree, moved, 0.99)):
        assert result["weight"].dtype == dtype
