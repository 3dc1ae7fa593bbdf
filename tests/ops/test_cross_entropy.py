"""Cross-entropy over a masked subset: what is not in the subset does not exist."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ops.op_cases import pull

from elt_ref.ops import softmax, softmax_cross_entropy

GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.standard_normal((3, 4, 5))
HARD = GENERATOR.integers(5, size=(3, 4))
SOFT = softmax(GENERATOR.standard_normal(LOGITS.shape))
WEIGHTS = np.array([[1, 0, 2, 0], [0, 0, 0, 0], [3, 1, 1, 1]], float)
both_kinds = pytest.mark.parametrize("targets", [HARD, SOFT], ids=["hard", "soft"])


def value_and_gradient(logits, targets, weights):
    value, backward = pull(lambda x: softmax_cross_entropy(x, targets, weights), [logits])
    return value, backward(np.ones_like(value))[0]


@both_kinds
@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_positions_of_weight_zero_cannot_poison_value_or_gradient(targets, poison):
    poisoned = LOGITS.copy()
    poisoned[WEIGHTS == 0] = poison
    value, gradient = value_and_gradient(LOGITS, targets, WEIGHTS)
    poisoned_value, poisoned_gradient = value_and_gradient(poisoned, targets, WEIGHTS)
    assert poisoned_value == value
    assert np.array_equal(poisoned_gradient, gradient)
    assert not gradient[WEIGHTS == 0].any()


def test_targets_at_positions_of_weight_zero_are_not_read():
    out_of_range, nan = HARD.copy(), SOFT.copy()
    out_of_range[WEIGHTS == 0] = 10**6
    nan[WEIGHTS == 0] = np.nan
    assert value_and_gradient(LOGITS, out_of_range, WEIGHTS)[0] == value_and_gradient(LOGITS, HARD, WEIGHTS)[0]
    assert value_and_gradient(LOGITS, nan, WEIGHTS)[0] == value_and_gradient(LOGITS, SOFT, WEIGHTS)[0]


@both_kinds
def test_an_empty_subset_costs_nothing(targets):
    value, gradient = value_and_gradient(np.full_like(LOGITS, np.nan), targets, np.zeros_like(WEIGHTS))
    assert value == 0
    assert value.shape == ()
    assert not gradient.any()


@both_kinds
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_extreme_logits_stay_finite_and_exact(targets, dtype, seed):
    signs = np.random.default_rng(seed).choice([-1.0, 0.0, 1.0], LOGITS.shape)
    logits = (1e4 * signs).astype(dtype)
    targets = targets if targets.ndim == 2 else targets.astype(dtype)
    value, gradient = value_and_gradient(logits, targets, WEIGHTS.astype(dtype))
    assert np.isfinite(gradient).all()
    highest = logits.max(axis=-1, keepdims=True)
    log_normaliser = highest + np.log((logits == highest).sum(axis=-1, keepdims=True))
    target = np.eye(5)[targets] if targets.ndim == 2 else targets
    expected = (WEIGHTS * (target * (log_normaliser - logits)).sum(axis=-1)).sum()
    np.testing.assert_allclose(value, expected, rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-5)


def test_a_hard_target_is_the_soft_target_that_is_sure():
    hard_value, hard_gradient = value_and_gradient(LOGITS, HARD, WEIGHTS)
    soft_value, soft_gradient = value_and_gradient(LOGITS, np.eye(5)[HARD], WEIGHTS)
    np.testing.assert_allclose(soft_value, hard_value, rtol=1e-14)
    np.testing.assert_allclose(soft_gradient, hard_gradient, rtol=1e-12, atol=1e-15)


def test_the_gradient_with_respect_to_a_soft_target_is_minus_the_weighted_log_probability():
    _, backward = pull(lambda t: softmax_cross_entropy(LOGITS, t, WEIGHTS), [SOFT])
    log_probabilities = LOGITS - np.log(np.exp(LOGITS).sum(axis=-1, keepdims=True))
    np.testing.assert_allclose(backward(np.array(1.0))[0], -WEIGHTS[..., None] * log_probabilities, rtol=1e-12)


def test_every_integer_dtype_is_a_hard_target():
    expected = softmax_cross_entropy(LOGITS, HARD, WEIGHTS)
    for dtype in (np.int8, np.int16, np.int32):
        assert softmax_cross_entropy(LOGITS, HARD.astype(dtype), WEIGHTS) == expected
