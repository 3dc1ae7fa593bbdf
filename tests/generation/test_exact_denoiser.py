"""The exact denoiser of `shapes`, against which a diffusion model is measured."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elt_ref.config import load_preset
from elt_ref.errors import RequestError
from elt_ref.generation import sample
from elt_ref.model import init_parameters
from elt_ref.run.folder import Run
from specs.making.exact_denoiser import draw, errors, exact_denoiser, network_of, noise_at, tables, valid_share
from tiny_datasets.shapes import CLASSES, PLACES, members

PRESET = load_preset("shapes-diffusion", {"sampling.steps": 12})
EXACT = exact_denoiser(PRESET)
labels = st.integers(0, len(CLASSES) - 1)


def blind(noisy, _time, labels):
    """The mean of the class, whatever is seen."""
    means = np.stack([2 * (members(label) / 255).mean(axis=0) - 1 for label in range(len(CLASSES))])
    return means[labels].astype(noisy.dtype)


@given(label=labels, place=st.integers(0, len(PLACES) - 1))
def test_a_picture_with_little_noise_is_itself_and_noise_alone_the_mean_of_the_class(label, place):
    picture = 2 * (members(label)[[place]] / 255) - 1
    _, alpha, _ = noise_at(0.05, PRESET)
    np.testing.assert_allclose(EXACT(alpha * picture, 0.05, np.array([label])), picture, atol=1e-6)
    steep = PRESET.model_copy(update={"diffusion": PRESET.diffusion.model_copy(update={"log_snr_min": -40.0})})
    found = exact_denoiser(steep)(np.zeros_like(picture), 1.0, np.array([label]))
    np.testing.assert_allclose(found, blind(picture, 1.0, np.array([label])), atol=1e-6)


@given(label=labels, place=st.integers(0, len(PLACES) - 1), time=st.floats(0.2, 0.9), seed=st.integers(0, 9))
def test_members_weigh_as_likely_as_the_noisy_picture_is_with_them(label, place, time, seed):
    _, alpha, sigma = noise_at(time, PRESET)
    every = 2 * (members(label) / 255) - 1
    noisy = alpha * every[place] + sigma * np.random.default_rng(seed).standard_normal(every[place].shape)
    # Two members differ where one has +1 and the other -1: by Bayes' rule only products with what is seen remain.
    evidence = np.einsum("hwc,mhwc->m", noisy, every) * alpha / sigma**2
    with np.errstate(over="ignore"):
        shares = 1 / np.exp(evidence - evidence[:, None]).sum(axis=1)
    found = EXACT(noisy[None], time, np.array([label]))[0]
    np.testing.assert_allclose(found, np.einsum("m,mhwc->hwc", shares, every), atol=1e-9)


def test_noise_and_picture_have_a_mean_square_of_one_together():
    seen = []
    list(errors(PRESET, [lambda noisy, *_: seen.append(np.square(noisy).mean()) or noisy], 90))
    np.testing.assert_allclose(seen, 1, atol=0.02)  # α² + σ², for pixels are ±1


def test_no_prediction_has_a_smaller_error():
    for _, (exact, mean, mixed) in errors(PRESET, (EXACT, blind, lambda *seen: (EXACT(*seen) + blind(*seen)) / 2), 90):
        assert exact <= min(mean, mixed) * 1.01  # on 90 pictures


def test_the_sampler_draws_valid_pictures_with_it_and_none_with_the_mean():
    assert valid_share(PRESET, EXACT, EXACT, 1.0, 9) == 1
    assert valid_share(PRESET, blind, blind, 1.0, 9) == 0
    assert valid_share(PRESET, EXACT, blind, 0.5, 9) == 0, "the rest of the steps is the second's"


def test_the_network_draws_as_sample_does():
    parameters = init_parameters(PRESET)
    output = parameters["head"]["output"]  # its weights begin as zeros
    output["weight"] = np.random.default_rng(0).normal(size=output["weight"].shape).astype(output["weight"].dtype)
    network, labels = network_of(Run(PRESET, parameters, None, 0), PRESET), np.arange(4)
    expected = sample(parameters, PRESET, labels, seed=0).samples
    assert np.abs(expected).max() > 0.1
    np.testing.assert_array_equal(draw(PRESET, network, network, 0.5, labels), expected)
    assert (draw(PRESET, EXACT, network, 0.5, labels) != expected).any()


def test_what_it_cannot_measure_is_one_sentence():
    masked = Run(load_preset("shapes-masked"), {}, None, 0)
    with pytest.raises(RequestError, match="diffusion family in the pixels of 'shapes', got masked of 'shapes'"):
        next(tables(masked, 1))
    with pytest.raises(RequestError, match="--count: expected at least 1, got 0"):
        next(tables(Run(PRESET, {}, None, 0), 0))
