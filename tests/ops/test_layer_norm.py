import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from elt_ref.ops import layer_norm, residual_layer_norm

rows = st.integers(0, 2**32 - 1).map(lambda seed: 3 + 2 * np.random.default_rng(seed).standard_normal((4, 9)))
ONES, ZEROS = np.ones(9), np.zeros(9)


@given(rows)
@settings(max_examples=20)
def test_every_row_has_mean_zero_and_biased_variance_one(x):
    y = layer_norm(x, ONES, ZEROS, epsilon=1e-12)
    np.testing.assert_allclose(y.mean(axis=-1), 0, atol=1e-12)
    np.testing.assert_allclose((y**2).mean(axis=-1), 1, rtol=1e-8)


@given(rows, st.floats(0.1, 10), st.floats(-10, 10))
@settings(max_examples=20)
def test_scale_and_shift_of_a_row_do_not_matter(x, scale, shift):
    expected = layer_norm(x, ONES, ZEROS, epsilon=1e-12)
    np.testing.assert_allclose(layer_norm(scale * x + shift, ONES, ZEROS, epsilon=1e-12), expected, atol=1e-8)


def test_epsilon_is_added_to_the_variance_inside_of_the_root():
    x = np.array([[3.0, 5.0]])  # variance 1
    np.testing.assert_allclose(layer_norm(x, np.ones(2), np.zeros(2), epsilon=3.0), [[-0.5, 0.5]], rtol=1e-15)


def test_a_constant_row_becomes_the_bias():
    bias = np.arange(9.0)
    np.testing.assert_array_equal(layer_norm(np.full((1, 9), 7.0), ONES, bias, epsilon=1e-12)[0], bias)


@given(rows, rows)
@settings(max_examples=20)
def test_the_residual_form_is_the_norm_of_the_sum(x, update):
    scale, bias = np.random.default_rng(0).standard_normal((2, 9))
    np.testing.assert_allclose(
        residual_layer_norm(x, update, scale, bias, epsilon=1e-6),
        layer_norm(x + update, scale, bias, epsilon=1e-6),
        rtol=1e-12,
        atol=1e-12,
    )
