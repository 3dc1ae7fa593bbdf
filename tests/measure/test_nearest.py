"""The nearest training picture: laws, and a computation without the matrix product."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from elt_ref.measure import nearest_distances
from elt_ref.measure.nearest import CHUNK


def pictures(seed, count, frames=()):
    return np.random.default_rng(seed).random((count, *frames, 3, 2, 3)).astype(np.float32)


@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 9), st.sampled_from([(), (2,)]))
@settings(deadline=None, max_examples=30)
def test_each_distance_is_the_least_of_all(seed, count, others, frames):
    samples, learned = pictures(seed, count, frames), pictures(seed + 1, others, frames)
    pairs = [[np.sqrt(np.mean((one.astype(float) - other) ** 2)) for other in learned] for one in samples]
    np.testing.assert_allclose(nearest_distances(samples, learned), np.min(pairs, axis=1), rtol=1e-5)


@given(st.integers(0, 2**32), st.permutations(range(6)))
@settings(deadline=None, max_examples=20)
def test_a_copy_has_exactly_zero_wherever_it_stands(seed, order):
    learned = pictures(seed, 6)
    assert nearest_distances(learned[order], learned).tolist() == [0.0] * 6


@given(st.integers(0, 2**32))
@settings(deadline=None, max_examples=20)
def test_more_pictures_are_never_farther(seed):
    samples, learned = pictures(seed, 5), pictures(seed + 1, 7)
    assert (nearest_distances(samples, learned) <= nearest_distances(samples, learned[:3])).all()


def test_black_is_as_far_from_white_as_can_be():
    black = np.zeros((1, 4, 4, 1), np.float32)
    assert nearest_distances(black, 1 + black).tolist() == [1.0]


def test_chunks_are_joined_in_order():
    samples = pictures(0, CHUNK + 3)
    whole = nearest_distances(samples, samples[::7])
    np.testing.assert_allclose(whole[CHUNK:], nearest_distances(samples[CHUNK:], samples[::7]), rtol=1e-6)
