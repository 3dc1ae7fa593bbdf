import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elt_ref.ops import attention, log_softmax, softmax

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
    np.testing.assert_array_equal(attention(query_key_value, heads=1), np.array([[[1], [1]]], dtype))


def test_attention_looks_at_every_token_and_at_its_own_picture_only():
    generator = np.random.default_rng(0)
    x = generator.standard_normal((2, 4, 12))
    moved = x.copy()
    moved[0, 3, 8:] += 1  # the value of the last token of the first picture
    change = attention(moved, heads=2) - attention(x, heads=2)
    assert (np.abs(change[0]).max(axis=-1) > 1e-6).all(), "some token of the picture does not see the change"
    assert not change[1].any(), "another picture sees the change"
