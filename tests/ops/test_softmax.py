import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ops.op_cases import attention_of, pull

from elt_ref.ops import log_softmax, softmax

rows = st.integers(0, 2**32 - 1).map(lambda seed: 5 * np.random.default_rng(seed).standard_normal((3, 7)))


@given(rows)
@settings(max_examples=20)
def test_softmax_is_positive_and_sums_to_one(x):
    assert (softmax(x) > 0).all()
    np.testing.assert_allclose(softmax(x).sum(axis=-1), 1, rtol=1e-14)


@given(rows, st.floats(-1e3, 1e3))
@settings(max_examples=20)
def test_a_shift_of_all_logits_changes_nothing(x, shift):
    np.testing.assert_allclose(softmax(x + shift), softmax(x), rtol=1e-10)
    np.testing.assert_allclose(log_softmax(x + shift), log_softmax(x), rtol=1e-10, atol=1e-10)


@given(rows)
@settings(max_examples=20)
def test_log_softmax_is_the_logarithm_of_softmax_and_leaves_its_argument_alone(x):
    before = x.copy()
    np.testing.assert_allclose(np.exp(log_softmax(x)), softmax(x), rtol=1e-12)
    assert np.array_equal(x, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logits_of_any_size_are_safe(dtype):
    x = np.array([[1e4, -1e4, 0], [-1e4, -1e4, -1e4]], dtype)
    np.testing.assert_array_equal(softmax(x), np.array([[1, 0, 0], [1, 1, 1]], dtype) / np.array([[1], [3]], dtype))
    np.testing.assert_allclose(log_softmax(x)[0], [0, -2e4, -1e4])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_attention_to_extreme_scores_is_finite_and_picks_the_highest(dtype):
    query_key_value = np.array([[[100, 100, 1], [100, -100, 2]]], dtype)
    np.testing.assert_array_equal(attention_of(query_key_value, 1), np.array([[[1], [1]]], dtype))


@given(st.integers(0, 2**32 - 1), st.floats(-300, 300))
@settings(max_examples=30)
def test_a_shift_of_all_scores_of_a_query_changes_nothing(seed, shift):
    """Neither value nor gradient, be the scores small enough for their exps to be taken as they are or not."""
    x, cotangent = np.random.default_rng(seed).standard_normal((2, 1, 5, 6))
    cotangent = cotangent[..., :2]
    query, key, value = np.split(x, 3, axis=-1)
    query[..., 0], key_moved = 1.0, key + np.array([shift, 0])  # adds shift / √2 to every score
    (expected, expected_backward), (got, backward) = (
        pull(lambda x: attention_of(x, 1), [np.concatenate([query, k, value], axis=-1)]) for k in (key, key_moved)
    )
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12)
    (gradient,), (expected_gradient,) = backward(cotangent), expected_backward(cotangent)
    np.testing.assert_allclose(gradient[..., 2:], expected_gradient[..., 2:], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("largest", [33.0, 36.0, 41.0, 300.0])
@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("sign", [1, -1])
def test_large_scores_in_float32_neither_overflow_nor_vanish(largest, alone, sign):
    """Of two scores one or both are far from zero."""
    scores = sign * np.array([0 if alone else largest - 1, largest], np.float32)
    query_key_value = np.stack([np.ones(2, np.float32), scores, np.array([0, 1], np.float32)], axis=-1)[None]
    expected = 1 / (1 + math.exp(scores[0] - scores[1]))
    np.testing.assert_allclose(attention_of(query_key_value, 1)[0, :, 0], expected, rtol=1e-6, atol=1e-38)


def test_attention_looks_at_every_token_and_at_its_own_picture_only():
    generator = np.random.default_rng(0)
    x = generator.standard_normal((2, 4, 12))
    moved = x.copy()
    moved[0, 3, 8:] += 1  # the value of the last token of the first picture
    change = attention_of(moved, 2) - attention_of(x, 2)
    assert (np.abs(change[0]).max(axis=-1) > 1e-6).all(), "some token of the picture does not see the change"
    assert not change[1].any(), "another picture sees the change"
