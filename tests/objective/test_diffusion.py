"""E9 and E10 in numbers: the sigmoid weight, its forms for x0, ε and v, and reductions."""

import math

import autograd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import epsilon_of

from elt_ref.config import DiffusionConfig
from elt_ref.model import add_noise, prediction_target
from elt_ref.objective import DiffusionTarget, loss_weight
from elt_ref.schedules import log_snr

KINDS = ["x0", "epsilon", "v"]
biases = st.floats(-3, 3)
seeds = st.integers(0, 2**32 - 1)


def distillation_towards_the_target(target, prediction):
    """E10 with the truth in the teacher's place: E9 in numbers."""
    return target.distillation(prediction, target.target)


LOSSES = [DiffusionTarget.ground_truth, distillation_towards_the_target]


def diffusion(**settings):
    return DiffusionConfig(**{"shift": 0.0, "bias": 0.0} | settings)


def exact_weight(time, *, shift, bias, derivative):
    """−dλ/dt e^b sigmoid(λ − b), in 80 bits and written without a stable form."""
    time, bias = np.longdouble(time), np.longdouble(bias)
    begin, end = np.arctan(np.exp(np.longdouble(-7.5))), np.arctan(np.exp(np.longdouble(7.5)))
    angle = begin + time * (end - begin)
    snr = -2 * np.log(np.tan(angle)) + shift
    slope = 4 * (end - begin) / np.sin(2 * angle) if derivative else 1
    return slope * np.exp(bias) / (1 + np.exp(bias - snr)), snr


@given(st.floats(-3, 3), biases, st.booleans())
@settings(max_examples=30)
def test_the_weight_is_the_formula_in_longdouble(shift, bias, derivative):
    time = np.linspace(0, 1, 11)
    config = diffusion(shift=shift, bias=bias, weight_derivative=derivative)
    expected, _ = exact_weight(time, shift=shift, bias=bias, derivative=derivative)
    np.testing.assert_allclose(loss_weight(time, config), expected.astype(float), rtol=1e-9)


def test_the_weight_in_the_middle_by_hand():
    """λ = 0: ½ without the slope; the slope is 4 (t_max − t_min), just under 2π."""
    time = np.array([0.5])
    assert loss_weight(time, diffusion(weight_derivative=False)).item() == pytest.approx(0.5)
    span = math.atan(math.exp(7.5)) - math.atan(math.exp(-7.5))
    assert loss_weight(time, diffusion()).item() == pytest.approx(2 * span)
    assert loss_weight(time, diffusion(bias=1.0, weight_derivative=False)).item() == pytest.approx(
        math.e / (1 + math.e)
    )


@given(st.floats(-3, 3), biases, st.booleans())
@settings(max_examples=30)
def test_weights_of_epsilon_and_v_are_the_equivalent_ones(shift, bias, derivative):
    time = np.linspace(0, 1, 11)
    weight, snr = exact_weight(time, shift=shift, bias=bias, derivative=derivative)
    expected = {"x0": weight, "epsilon": weight * np.exp(-snr), "v": weight / (1 + np.exp(snr))}
    for kind, wanted in expected.items():
        config = diffusion(shift=shift, bias=bias, weight_derivative=derivative, prediction=kind)
        np.testing.assert_allclose(loss_weight(time, config), wanted.astype(float), rtol=1e-9, err_msg=kind)


def setting(seed, batch=3):
    generator = np.random.default_rng(seed)
    clean, noise, guess, other = generator.standard_normal((4, batch, 2, 3, 2))
    return clean, noise, guess, other, generator.uniform(0.05, 0.95, batch)


@pytest.mark.parametrize("reduction", ["mean_per_sample", "sum"])
@given(seeds, biases, st.booleans())
@settings(max_examples=20)
def test_the_same_x0_has_the_same_loss_however_it_was_predicted(reduction, seed, bias, derivative):
    clean, noise, guess, other, time = setting(seed)
    truths, distilled = [], []
    for kind in KINDS:
        config = diffusion(shift=0.5, bias=bias, prediction=kind, weight_derivative=derivative)
        snr = log_snr(time, config)
        noisy = add_noise(clean, noise, snr)
        student, teacher = (prediction_target(kind, x0, epsilon_of(x0, noisy, snr), snr) for x0 in (guess, other))
        target = DiffusionTarget(prediction_target(kind, clean, noise, snr), time, config, reduction)
        truths.append(target.ground_truth(student))
        distilled.append(target.distillation(student, teacher))
    np.testing.assert_allclose(truths, truths[0], rtol=1e-8)
    np.testing.assert_allclose(distilled, distilled[0], rtol=1e-8)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_is_the_mean_over_samples_of_weighted_squares(loss):
    clean, _, guess, _, time = setting(0)
    config = diffusion(bias=1.0)
    mean, total = 0.0, 0.0
    for row in range(3):
        weight = float(exact_weight(time[row], shift=0, bias=1, derivative=True)[0])
        squares = [(float(p) - float(t)) ** 2 for p, t in zip(guess[row].flat, clean[row].flat, strict=True)]
        mean, total = mean + weight * sum(squares) / len(squares) / 3, total + weight * sum(squares) / 3
    assert loss(DiffusionTarget(clean, time, config), guess) == pytest.approx(mean, rel=1e-9)
    assert loss(DiffusionTarget(clean, time, config, "sum"), guess) == pytest.approx(total, rel=1e-9)
    assert total == pytest.approx(12 * mean, rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_are_twice_the_weighted_difference(loss):
    clean, _, guess, _, time = setting(1)
    target = DiffusionTarget(clean, time, diffusion())
    weights = exact_weight(time, shift=0, bias=0, derivative=True)[0].astype(float).reshape(3, 1, 1, 1)
    gradient = autograd.grad(lambda guess: loss(target, guess))(guess)
    np.testing.assert_allclose(gradient, 2 * weights * (guess - clean) / 12 / 3, rtol=1e-9)


def test_a_perfect_prediction_costs_nothing():
    clean, _, _, _, time = setting(2)
    assert DiffusionTarget(clean, time, diffusion()).ground_truth(clean) == 0


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", KINDS)
def test_losses_keep_float32_and_a_finite_weight_at_both_ends(kind, loss):
    clean, _, guess, _, _ = setting(3, batch=2)
    target = DiffusionTarget(clean.astype(np.float32), np.array([0.0, 1.0]), diffusion(prediction=kind))
    value = loss(target, guess.astype(np.float32))
    assert value.dtype == np.float32
    assert np.isfinite(value)
