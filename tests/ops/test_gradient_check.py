"""The checker itself: what it must accept, and what it must not let pass at any size or scale."""

import numpy as np
import pytest
from ops.gradient_check import LARGEST_ERROR, gradient_error

sizes = pytest.mark.parametrize("size", [1, 7, 4096])
scales = pytest.mark.parametrize("scale", [1.0, 1e-9])
seeds = pytest.mark.parametrize("seed", range(5))


def subject(size, scale, seed):
    generator = np.random.default_rng(seed)
    x, factor = generator.standard_normal((2, size))
    factor += np.copysign(0.5, factor)  # no element is negligible

    def function(y):
        return scale * np.sum(factor * np.sin(y))

    return function, x, scale * factor * np.cos(x)


@sizes
@scales
@seeds
def test_a_correct_gradient_is_accepted(size, scale, seed):
    function, x, gradient = subject(size, scale, seed)
    assert gradient_error(function, [x], [gradient], seed=seed) <= LARGEST_ERROR / 100


@sizes
@scales
@seeds
def test_a_gradient_one_percent_wrong_is_rejected(size, scale, seed):
    function, x, gradient = subject(size, scale, seed)
    assert gradient_error(function, [x], [1.01 * gradient], seed=seed) > 1000 * LARGEST_ERROR


@sizes
@scales
@seeds
def test_a_gradient_with_one_element_dropped_is_rejected(size, scale, seed):
    function, x, gradient = subject(size, scale, seed)
    gradient[np.argsort(np.abs(gradient))[size // 2]] = 0
    assert gradient_error(function, [x], [gradient], seed=seed) > 100 * LARGEST_ERROR


@scales
def test_a_gradient_of_the_wrong_sign_and_a_zero_gradient_are_rejected(scale):
    function, x, gradient = subject(4096, scale, 0)
    assert gradient_error(function, [x], [-gradient]) > 1000 * LARGEST_ERROR
    assert gradient_error(function, [x], [0 * gradient]) > 1000 * LARGEST_ERROR


def test_a_large_argument_does_not_hide_a_small_wrong_one():
    def function(large, small):
        return 1e6 * np.sum(large**2) + np.sum(small**3)

    large, small = np.random.default_rng(0).standard_normal((2, 5))
    right = [2e6 * large, 3 * small**2]
    assert (
        gradient_error(lambda large, _: 1e6 * np.sum(large**2), [large, small], [right[0], 0 * small]) < LARGEST_ERROR
    )
    assert gradient_error(function, [large, small], [right[0], 1.01 * right[1]]) > 100 * LARGEST_ERROR


def test_float32_is_refused():
    with pytest.raises(AssertionError, match="measure nothing"):
        gradient_error(np.sum, [np.ones(3, np.float32)], [np.ones(3, np.float32)])
