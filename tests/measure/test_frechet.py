import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elt_ref.errors import RequestError
from elt_ref.measure import Gaussian, fit_gaussian, frechet_distance

seeds = st.integers(0, 2**32)


def gaussian(seed, features=5, samples=40):
    draw = np.random.default_rng(seed)
    return fit_gaussian(draw.normal(size=(samples, features)) @ draw.normal(size=(features, features)) + draw.normal())


def by_eigenvalues_of_the_product(first, second):
    """The other way to write the trace of the root: Σ √eig(Σ₁ Σ₂), in complex numbers."""
    roots = np.sqrt(np.linalg.eigvals(first.covariance @ second.covariance).astype(complex)).sum().real
    offset = first.mean - second.mean
    return offset @ offset + np.trace(first.covariance) + np.trace(second.covariance) - 2 * roots


def test_fit_by_hand():
    fitted = fit_gaussian(np.array([[0.0, 1.0], [2.0, 5.0], [4.0, 3.0]], np.float32))
    assert fitted.mean.tolist() == [2.0, 3.0]
    # Sums of squares 8 and 8, of products 4; divided by 3 − 1.
    assert fitted.covariance.tolist() == [[4.0, 2.0], [2.0, 4.0]]
    assert fitted.covariance.dtype == np.float64


@given(seeds, st.integers(2, 40), st.integers(1, 32), st.sampled_from([1e-6, 1.0, 1000.0]))
@settings(deadline=None)
def test_equal_sets_have_no_distance(seed, samples, features, scale):
    """Also with fewer samples than features, whose covariance is singular; and never below zero."""
    fitted = fit_gaussian(scale * np.random.default_rng(seed).normal(size=(samples, features)))
    assert 0 <= frechet_distance(fitted, fitted) <= 1e-13 * np.trace(fitted.covariance)


@given(seeds, st.integers(2, 6), st.integers(2, 6))
@settings(deadline=None)
def test_singular_covariances_in_closed_form(seed, some, others):
    """Two sets in the plane of the first two of twelve axes have the distance that they have in that plane."""
    draw = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(draw.normal(size=(12, 12)))
    flat = draw.normal(size=(some + 2, 2)), 2 + draw.normal(size=(others + 2, 2))
    wide = [fit_gaussian(np.pad(part, ((0, 0), (0, 10))) @ rotation) for part in flat]
    expected = frechet_distance(*map(fit_gaussian, flat))
    assert math.isclose(frechet_distance(*wide), expected, rel_tol=1e-12)


def test_one_dimension_in_closed_form():
    first, second = fit_gaussian(np.array([[1.0], [3.0], [8.0]])), fit_gaussian(np.array([[2.0], [2.5]]))
    deviations = math.sqrt(13.0), math.sqrt(0.125)
    expected = (4.0 - 2.25) ** 2 + (deviations[0] - deviations[1]) ** 2
    assert math.isclose(frechet_distance(first, second), expected, rel_tol=1e-12)


@given(st.lists(st.tuples(*[st.just(0.0) | st.floats(1e-3, 9)] * 2, *[st.floats(-5, 5)] * 2), min_size=1, max_size=6))
@settings(deadline=None)
def test_diagonal_gaussians_in_closed_form(axes):
    first = Gaussian(np.array([a[2] for a in axes]), np.diag([a[0] ** 2 for a in axes]))
    second = Gaussian(np.array([a[3] for a in axes]), np.diag([a[1] ** 2 for a in axes]))
    expected = sum((m1 - m2) ** 2 + (s1 - s2) ** 2 for s1, s2, m1, m2 in axes)
    assert math.isclose(frechet_distance(first, second), expected, rel_tol=1e-9, abs_tol=1e-9)


@given(seeds, seeds)
@settings(deadline=None, max_examples=30)
def test_laws(one, other):
    first, second = gaussian(one), gaussian(other + 1)
    distance = frechet_distance(first, second)
    assert distance > -1e-9
    assert math.isclose(distance, frechet_distance(second, first), rel_tol=1e-9, abs_tol=1e-9), "not symmetric"
    assert math.isclose(distance, by_eigenvalues_of_the_product(first, second), rel_tol=1e-6, abs_tol=1e-6)

    rotation, _ = np.linalg.qr(np.random.default_rng(one).normal(size=(5, 5)))
    turned = [Gaussian(g.mean @ rotation, rotation.T @ g.covariance @ rotation) for g in (first, second)]
    assert math.isclose(distance, frechet_distance(*turned), rel_tol=1e-9, abs_tol=1e-9), "not invariant"

    shift = np.arange(5.0)
    moved = Gaussian(first.mean + shift, first.covariance)
    assert math.isclose(frechet_distance(first, moved), shift @ shift, rel_tol=1e-9, abs_tol=1e-9)


def test_a_scaled_set_is_scaled_squared():
    draw = np.random.default_rng(3)
    one, other = draw.normal(size=(30, 4)), draw.normal(size=(20, 4)) + 1
    distance = frechet_distance(fit_gaussian(one), fit_gaussian(other))
    assert math.isclose(frechet_distance(fit_gaussian(3 * one), fit_gaussian(3 * other)), 9 * distance, rel_tol=1e-9)


def test_singular_covariances_and_fewer_samples_than_features():
    few, fewer = gaussian(1, features=12, samples=5), gaussian(2, features=12, samples=3)
    distance = frechet_distance(few, fewer)
    assert math.isclose(distance, frechet_distance(fewer, few), rel_tol=1e-12)
    assert math.isclose(distance, by_eigenvalues_of_the_product(few, fewer), rel_tol=1e-5)
    point = Gaussian(few.mean, np.zeros((12, 12)))
    assert math.isclose(frechet_distance(few, point), np.trace(few.covariance), rel_tol=1e-9)


@pytest.mark.parametrize("samples", [0, 1])
def test_too_few_samples(samples):
    with pytest.raises(RequestError, match=rf"features: expected shape \[count ≥ 2, features\], got \[{samples}, 3\]"):
        fit_gaussian(np.zeros((samples, 3)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_no_numbers(value):
    with pytest.raises(RequestError, match="features: expected finite numbers, got NaN or infinity"):
        fit_gaussian(np.array([[1.0], [value]]))
