"""Which tokens a training step hides, and whose labels it drops: pure functions of draws."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elt_ref.objective import drop_labels, mask_tokens

ratios = st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=5)
# ⌊n cos(π r / 2)⌋, at least 1, for r = 0, 1/12, …, 11/12; r = 8/12 is the tie of the floor: n/2.
COUNTS = {
    256: [256, 253, 247, 236, 221, 203, 181, 155, 128, 97, 66, 33],
    64: [64, 63, 61, 59, 55, 50, 45, 38, 32, 24, 16, 8],
    16: [16, 15, 15, 14, 13, 12, 11, 9, 8, 6, 4, 2],
    2: [2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    1: [1] * 12,
}


def order_of(batch, tokens, seed=0):
    return np.random.default_rng(seed).random((batch, tokens))


@pytest.mark.parametrize("tokens", COUNTS)
def test_the_count_is_the_floor_of_the_cosine(tokens):
    ratio = np.arange(12) / 12
    assert mask_tokens(ratio, order_of(12, tokens)).sum(axis=1).tolist() == COUNTS[tokens]


@pytest.mark.parametrize("tokens", [2, 16, 256, 1024])
def test_at_two_thirds_exactly_half_is_masked(tokens):
    assert mask_tokens(np.array([2 / 3]), order_of(1, tokens)).sum() == tokens // 2


@given(ratios, st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_each_sample_masks_its_count_and_at_least_one(ratio, tokens, seed):
    masked = mask_tokens(np.array(ratio), order_of(len(ratio), tokens, seed)).sum(axis=1)
    for count, one in zip(masked.tolist(), ratio, strict=True):
        exact = tokens * math.cos(math.pi * one / 2)
        assert count >= 1
        assert count in {max(1, math.floor(exact - 1e-9)), max(1, math.floor(exact + 1e-9))}


@given(ratios, st.integers(1, 12), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_the_masked_positions_are_those_of_the_lowest_draws(ratio, tokens, seed):
    order = np.random.default_rng(seed).integers(4, size=(len(ratio), tokens)) / 4  # with ties
    for mask, draws in zip(mask_tokens(np.array(ratio), order), order, strict=True):
        by_draw_then_position = sorted(range(tokens), key=lambda position: (draws[position], position))
        assert set(np.flatnonzero(mask)) == set(by_draw_then_position[: mask.sum()])


def test_equal_ratios_of_a_batch_mask_equal_counts_at_other_positions():
    mask = mask_tokens(np.full(3, 0.5), order_of(3, 16))
    assert mask.sum(axis=1).tolist() == [11, 11, 11]
    assert not np.array_equal(mask[0], mask[1])


def test_a_label_is_dropped_where_its_draw_is_below_the_rate():
    labels, draws = np.array([4, 5, 6, 7]), np.array([0.0, 0.0999, 0.1, 0.9])
    assert drop_labels(labels, draws, rate=0.1, unconditional=10).tolist() == [10, 10, 6, 7]
    assert labels.tolist() == [4, 5, 6, 7]


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=6))
def test_rate_zero_drops_none_and_rate_one_drops_all(draws):
    labels = np.arange(len(draws))
    assert drop_labels(labels, np.array(draws), rate=0.0, unconditional=99).tolist() == labels.tolist()
    assert drop_labels(labels, np.array(draws), rate=1.0, unconditional=99).tolist() == [99] * len(draws)


@pytest.mark.parametrize("draw", [0.05, 0.5])
def test_one_draw_for_the_batch_drops_all_labels_or_none(draw):
    dropped = drop_labels(np.arange(4), np.full(4, draw), rate=0.1, unconditional=9) == 9
    assert dropped.tolist() == [draw < 0.1] * 4
