"""What a diffusion network may predict, x0, ε or v, and how each is made of another: by hand and in laws."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import epsilon_of

from elt_ref.model import add_noise, prediction_target, to_x0


def noised(seed, snr, dtype=np.float64):
    normal = np.random.default_rng(seed).standard_normal
    clean, noise = normal((len(snr), 2, 2, 3)).astype(dtype), normal((len(snr), 2, 2, 3)).astype(dtype)
    return clean, noise, add_noise(clean, noise, snr)


snrs = st.lists(st.floats(-8, 8), min_size=1, max_size=3).map(np.array)


@given(st.integers(0, 2**32 - 1), snrs)
def test_each_sample_is_noised_by_its_own_amount(seed, snr):
    clean, noise, noisy = noised(seed, snr)
    for row, value in enumerate(snr):
        signal = 1 / (1 + math.exp(-value))
        np.testing.assert_allclose(
            noisy[row], math.sqrt(signal) * clean[row] + math.sqrt(1 / (1 + math.exp(value))) * noise[row], rtol=1e-12
        )


@pytest.mark.parametrize("kind", ["x0", "epsilon", "v"])
@given(st.integers(0, 2**32 - 1), snrs)
@settings(max_examples=25)
def test_what_is_predicted_and_the_sample_determine_each_other(kind, seed, snr):
    clean, noise, noisy = noised(seed, snr)
    target = prediction_target(kind, clean, noise, snr)
    np.testing.assert_allclose(to_x0(kind, target, noisy, snr), clean, atol=1e-9)
    np.testing.assert_allclose(epsilon_of(clean, noisy, snr), noise, atol=1e-9)
    # And back: of any prediction, x0 and ε are made; their target is that prediction.
    prediction = np.random.default_rng(seed + 1).standard_normal(noisy.shape)
    x0 = to_x0(kind, prediction, noisy, snr)
    again = prediction_target(kind, x0, epsilon_of(x0, noisy, snr), snr)
    np.testing.assert_allclose(again, prediction, atol=1e-8)


def test_v_by_hand():
    """At λ = log 3: α² = ¾, σ² = ¼."""
    clean, noise, snr = np.full((1, 1, 1, 1), 2.0), np.full((1, 1, 1, 1), 4.0), np.array([math.log(3)])
    assert add_noise(clean, noise, snr).item() == pytest.approx(math.sqrt(3) + 2)
    assert prediction_target("v", clean, noise, snr).item() == pytest.approx(2 * math.sqrt(3) - 1)


def test_conversions_keep_float32():
    snr = np.array([1.0, -1.0])
    clean, noise, noisy = noised(0, snr, np.float32)
    results = [noisy]
    for kind in ("x0", "epsilon", "v"):
        results += [prediction_target(kind, clean, noise, snr), to_x0(kind, noise, noisy, snr)]
    assert {result.dtype for result in results} == {np.dtype(np.float32)}
