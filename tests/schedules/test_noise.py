"""The noise schedule against its formula in longdouble, by hand, and in laws; the grid of times."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from elt_ref.config import DiffusionConfig
from elt_ref.schedules import log_snr, log_snr_derivative, signal_and_noise, time_grid

TIMES = np.linspace(0, 1, 21)
shifts = st.floats(-3, 3)


def diffusion(shift=0.0, **settings):
    return DiffusionConfig(**{"shift": shift, "bias": 0.0} | settings)


def exact_log_snr(time, shift=0.0, shift_at_noise=None, lowest=-15, highest=15):
    """λ(t) as printed, in 80 bits."""
    time = np.longdouble(time)
    begin, end = np.arctan(np.exp(np.longdouble(-highest) / 2)), np.arctan(np.exp(np.longdouble(-lowest) / 2))
    mixed = shift if shift_at_noise is None else time * shift_at_noise + (1 - time) * shift
    return -2 * np.log(np.tan(begin + time * (end - begin))) + mixed


@given(shifts)
def test_the_ends_are_the_bounds_shifted(shift):
    np.testing.assert_allclose(log_snr(np.array([0.0, 1.0]), diffusion(shift)), [15 + shift, -15 + shift], rtol=1e-9)


@given(shifts, st.none() | shifts, st.floats(-20, -5), st.floats(5, 20))
@settings(max_examples=30)
def test_values_are_those_of_the_formula_in_longdouble(shift, at_noise, lowest, highest):
    config = diffusion(shift, shift_at_noise=at_noise, log_snr_min=lowest, log_snr_max=highest)
    expected = exact_log_snr(TIMES, shift, at_noise, lowest, highest).astype(float)
    np.testing.assert_allclose(log_snr(TIMES, config), expected, rtol=1e-9, atol=1e-9)


def test_values_by_hand():
    """The middle of the cosine is λ = 0; a quarter is −2 log tan(π/8), up to the bounds' 0.0006."""
    got = log_snr(np.array([0.25, 0.5, 0.75]), diffusion())
    np.testing.assert_allclose(got, [2 * math.log(1 + math.sqrt(2)), 0, -2 * math.log(1 + math.sqrt(2))], atol=2e-3)
    assert abs(got[1]) < 1e-12


@given(shifts, shifts)
def test_the_interpolated_form_mixes_two_schedules(at_data, at_noise):
    mixed = log_snr(TIMES, diffusion(at_data, shift_at_noise=at_noise))
    noisy, clean = log_snr(TIMES, diffusion(at_noise)), log_snr(TIMES, diffusion(at_data))
    np.testing.assert_allclose(mixed, TIMES * noisy + (1 - TIMES) * clean, atol=1e-9)
    np.testing.assert_allclose(mixed[[0, -1]], [15 + at_data, -15 + at_noise], atol=1e-9)


@given(shifts, st.none() | shifts)
@settings(max_examples=30)
def test_the_derivative_is_what_differences_measure(shift, at_noise):
    times, step = np.linspace(0.02, 0.98, 17), 1e-5
    ahead, behind = (exact_log_snr(np.longdouble(times) + s * step, shift, at_noise) for s in (1, -1))
    measured = ((ahead - behind) / (2 * step)).astype(float)
    config = diffusion(shift, shift_at_noise=at_noise)
    np.testing.assert_allclose(log_snr_derivative(times, config), measured, rtol=1e-6)


def test_noise_only_grows():
    assert (np.diff(log_snr(TIMES, diffusion())) < 0).all()
    assert (log_snr_derivative(TIMES, diffusion()) < 0).all()


@given(st.floats(-40, 40))
def test_signal_and_noise_are_sigmoids_with_squares_that_sum_to_one(snr):
    alpha, sigma = (float(part) for part in signal_and_noise(np.float64(snr)))
    exact = np.longdouble(snr)
    assert alpha**2 + sigma**2 == pytest.approx(1, abs=1e-14)
    assert alpha == pytest.approx(float(np.sqrt(1 / (1 + np.exp(-exact)))), rel=1e-13)
    assert sigma == pytest.approx(float(np.sqrt(1 / (1 + np.exp(exact)))), rel=1e-13)


def test_extreme_log_snr_does_not_overflow():
    alpha, sigma = signal_and_noise(np.array([-2000.0, 2000.0]))
    np.testing.assert_array_equal(alpha, [0, 1])
    np.testing.assert_array_equal(sigma, [1, 0])


def test_a_larger_image_has_a_negative_shift_and_more_noise():
    assert diffusion("32/64").shift == pytest.approx(-2 * math.log(2))
    assert diffusion("64/32").shift == pytest.approx(2 * math.log(2))
    assert diffusion("32/32").shift == diffusion("none").shift == 0
    assert (log_snr(TIMES, diffusion("32/64")) < log_snr(TIMES, diffusion())).all()


@given(shifts, st.floats(-12, 6.27))
def test_a_mixed_shift_falls_with_time_everywhere(shift, difference):
    config = diffusion(shift, shift_at_noise=shift + difference)
    times = np.linspace(0, 1, 2001)
    assert (log_snr_derivative(times, config) < 0).all()
    assert (np.diff(log_snr(times, config)) < 0).all()


@given(shifts, st.floats(6.29, 12))
def test_a_mixed_shift_that_rises_somewhere_is_refused(shift, difference):
    with pytest.raises(ValidationError, match="expected λ to fall with t"):
        diffusion(shift, shift_at_noise=shift + difference)


def test_the_grid_goes_evenly_from_noise_to_data():
    assert time_grid(4).tolist() == [1, 0.75, 0.5, 0.25, 0]
