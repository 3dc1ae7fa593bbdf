"""Streams are the one door of randomness; what they yield is fixed for ever, or no run can be repeated."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elt_ref.streams import stream, stream_key

seeds = st.integers(0, 2**64 - 1)
names = st.text(max_size=8)
steps = st.integers(0, 2**64 - 1)


def words(*address):
    return stream(*address).bit_generator.random_raw(4).tolist()


def test_keys_are_the_first_16_bytes_of_sha256_of_seed_and_name():
    """`printf 0/mask_ratio | sha256sum` begins 7e217801d649bd52 14ab52e2b519d4fd: two words, little end first."""
    assert stream_key(0, "mask_ratio").tolist() == [0x52BD49D60178217E, 0xFDD419B5E252AB14]


def test_the_words_of_a_stream_are_fixed():
    assert words(0, "mask_ratio", 0) == [
        2258476358826700981,
        8592734324476189539,
        6791733826515758327,
        7018099219019593430,
    ]
    assert words(0, "mask_ratio", 7) == [
        17591373314683008710,
        1382236357687843288,
        15621031292692032683,
        18105426363976462407,
    ]
    assert words(2**64 - 1, "token_noise", 2**64 - 1) == [
        14834996221136451659,
        7145558055879270517,
        10281057296767398769,
        3037078742037543509,
    ]


@given(seeds, names, steps)
@settings(max_examples=20)
def test_a_stream_begins_anew_whenever_it_is_asked_for(seed, name, step):
    first = stream(seed, name, step)
    first.random(3)
    assert words(seed, name, step) == words(seed, name, step)
    assert stream(seed, name, step).random() == stream(seed, name, step).random()


@given(seeds, names, steps, seeds, names, steps)
@settings(max_examples=30)
def test_different_addresses_are_different_streams(seed, name, step, other_seed, other_name, other_step):
    for other in ((other_seed, name, step), (seed, other_name, step), (seed, name, other_step)):
        if other != (seed, name, step):
            assert words(seed, name, step) != words(*other), f"{other} repeats {(seed, name, step)}"


def test_the_last_steps_are_streams_of_their_own():
    """A counter that went through float64 would round them together."""
    last = [0, 2**53, 2**53 + 1, 2**63, 2**63 + 1, 2**64 - 2, 2**64 - 1]
    assert len({tuple(words(0, "mask_ratio", step)) for step in last}) == len(last)


def test_seed_and_name_cannot_run_into_each_other():
    assert words(1, "1/x") != words(11, "x")
    assert words(1, "2") != words(12, "")


def test_a_long_draw_does_not_reach_the_next_step():
    """A step owns 2^192 blocks of four words."""
    long = stream(0, "mask_order", 0).bit_generator.random_raw(10_000)
    assert not np.isin(words(0, "mask_order", 1), long).any()


def test_streams_of_different_names_are_uncorrelated():
    """Of 28 correlations of 4000 normals, each within 5 standard errors: fails for 1 name in 60 000."""
    draws = np.stack([stream(0, f"stream {number}").standard_normal(4000) for number in range(8)])
    correlations = np.corrcoef(draws)[np.triu_indices(8, k=1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(4000)


@pytest.mark.parametrize("step", [-1, 2**64])
def test_a_step_that_does_not_fit_is_refused(step):
    with pytest.raises((OverflowError, ValueError)):
        stream(0, "mask_ratio", step)
