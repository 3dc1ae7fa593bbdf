"""Schedules over steps: the masks of MaskGIT's decoder to the token, λ, the learning rate, guidance, temperature."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elt_ref.config import TrainingConfig
from elt_ref.schedules import (
    guidance_scale_at,
    learning_rate_at,
    mask_lengths,
    masked_count,
    masked_fraction,
    sampling_temperature,
    truth_weight_at,
)

# --- masks

# Tokens masked after steps 0 … K − 1 of decoding n unknown tokens, in float64.
TABLES = {
    (256, 8): "251 236 212 181 142 97 49 1",
    (256, 12): "253 247 236 221 203 181 155 128 97 66 33 1",
    (256, 24): "255 253 251 247 242 236 229 221 212 203 192 181 168 155 142 128 113 97 82 66 49 33 16 1",
    (1024, 12): "1015 989 946 886 812 724 623 512 391 265 133 1",
}

PRECISIONS = ("float64", "float32")


def table(tokens, steps):
    return [int(length) for length in TABLES[tokens, steps].split()]


def run(start, steps, precision="float64"):
    """Return the lengths of a whole decoding, in which every masked token of a step is the next one's unknown."""
    lengths, unknown = [], np.array([start])
    for step in range(steps):
        unknown = mask_lengths(np.array([start]), unknown, step=step, steps=steps, precision=precision)
        lengths.append(int(unknown[0]))
    return lengths


@pytest.mark.parametrize(("tokens", "steps"), TABLES)
def test_lengths_are_those_of_the_table(tokens, steps):
    assert run(tokens, steps) == table(tokens, steps)


@pytest.mark.parametrize(("tokens", "steps"), TABLES)
def test_in_float32_only_the_tie_at_two_thirds_differs(tokens, steps):
    """cos(π/3) is just below a half in float32: the 127 and 511 of the official code."""
    expected = [
        length - 1 if 3 * (step + 1) == 2 * steps else length for step, length in enumerate(table(tokens, steps))
    ]
    assert run(tokens, steps, "float32") == expected


@pytest.mark.parametrize(("precision", "counts"), [("float64", [128, 512]), ("float32", [127, 511])])
def test_the_tie_by_itself(precision, counts):
    ratio = np.full(2, 2 / 3, precision)
    assert masked_count(np.array([256, 1024]), ratio).tolist() == counts


@pytest.mark.parametrize(("precision", "count"), [("float64", 1173), ("float32", 1174)])
def test_float32_rounds_the_product_too(precision, count):
    """1197 cos(π/16) is 1173.999 95…, which float32 rounds up before the floor; the official code does, too."""
    assert masked_count(np.array([1197]), np.full(1, 1 / 8, precision)).tolist() == [count]


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_the_fraction_is_a_quarter_of_a_cosine_clipped_above_zero(precision):
    fractions = masked_fraction(np.linspace(0, 1, 5, dtype=precision))
    assert fractions.dtype == precision
    np.testing.assert_allclose(fractions, [1, 0.9238795, 0.7071068, 0.3826834, 1e-6], rtol=1e-6)
    assert masked_fraction(np.array([1.0]))[0] == 1e-6


def test_a_million_tokens_show_the_clip_at_the_last_step():
    assert masked_count(10**7, np.array([1.0])).tolist() == [10]


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 12), st.data())
@settings(max_examples=100)
def test_the_length_is_that_of_the_rule_for_any_row(start, unknown, steps, data):
    """Also where other tokens than those of the schedule are unknown, as in a row that began half known."""
    step = data.draw(st.integers(0, steps - 1))
    (length,) = mask_lengths(
        np.array([start]), np.array([unknown]), step=step, steps=steps, precision="float64"
    ).tolist()
    exact = start * max(1e-6, math.cos(math.pi / 2 * (step + 1) / steps))
    rule = {max(1, min(unknown - 1, math.floor(exact + slack))) for slack in (-1e-9, 1e-9)}
    assert length in ({0} if unknown == 0 else rule)


@given(st.integers(1, 60), st.integers(1, 15))
@settings(max_examples=60)
def test_a_decoding_masks_fewer_tokens_every_step_until_one_is_left(start, steps):
    lengths = [start, *run(start, steps)]
    for before, after in pairwise(lengths):
        assert after < before or after == before == 1
    assert lengths[-1] == 1


def test_one_unknown_token_stays_masked_to_the_end():
    assert run(1, 5) == [1] * 5


def test_a_row_that_knows_everything_masks_nothing():
    assert run(0, 5) == [0] * 5


def test_a_row_that_begins_partly_known_is_scheduled_by_what_it_did_not_know():
    rows = mask_lengths(np.array([256, 64, 3]), np.array([256, 64, 3]), step=0, steps=8, precision="float64")
    assert rows.tolist() == [251, 62, 2]


# --- λ


@given(st.integers(2, 10**6))
def test_lambda_is_exactly_one_at_the_first_step_and_exactly_zero_at_the_last(steps):
    assert truth_weight_at(0, steps) == 1
    assert truth_weight_at(steps - 1, steps) == 0


@given(st.integers(3, 1000), st.data())
def test_lambda_falls_by_the_same_amount_every_step(steps, data):
    step = data.draw(st.integers(0, steps - 2))
    fall = truth_weight_at(step, steps) - truth_weight_at(step + 1, steps)
    np.testing.assert_allclose(fall, 1 / (steps - 1), rtol=1e-9)


def test_lambda_in_between():
    assert [truth_weight_at(step, 5) for step in range(5)] == [1, 0.75, 0.5, 0.25, 0]


def test_a_training_of_one_step_has_lambda_one():
    assert truth_weight_at(0, 1) == 1


def test_beyond_the_end_lambda_stays_zero():
    assert truth_weight_at(7, 5) == 0


# --- learning rate


def test_warm_up_begins_above_zero_and_ends_at_the_rate():
    training = TrainingConfig(steps=20, warmup_steps=4, learning_rate=0.8, schedule="constant")
    assert [learning_rate_at(step, training) for step in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8])


def test_the_cosine_goes_from_the_rate_to_zero():
    training = TrainingConfig(steps=12, warmup_steps=4, learning_rate=1.0, schedule="cosine")
    way = [0.5 * (1 + math.cos(math.pi * share / 8)) for share in range(8)]
    assert [learning_rate_at(step, training) for step in range(4, 12)] == pytest.approx(way)
    assert learning_rate_at(12, training) == pytest.approx(0)
    assert learning_rate_at(99, training) == pytest.approx(0), "after the end the rate must not rise again"


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_no_warm_up(schedule):
    assert learning_rate_at(0, TrainingConfig(warmup_steps=0, learning_rate=0.5, schedule=schedule)) == 0.5


def test_a_warm_up_longer_than_the_training():
    training = TrainingConfig(steps=3, warmup_steps=10, learning_rate=1.0)
    assert [learning_rate_at(step, training) for step in range(3)] == pytest.approx([0.1, 0.2, 0.3])


# --- guidance and temperature


@pytest.mark.parametrize("scale", [0.0, 1.0, 1.5, 3.0, 7.5])
@pytest.mark.parametrize("steps", [1, 2, 5, 12])
def test_the_ramp_begins_conditional_and_ends_at_the_scale(scale, steps):
    ramp = [guidance_scale_at(step, steps, scale=scale, schedule="ramp") for step in range(steps)]
    assert ramp[0] == 1
    if steps > 1:
        assert ramp[-1] == scale
    np.testing.assert_allclose(np.diff(ramp), (scale - 1) / max(1, steps - 1), atol=1e-12)
    assert [guidance_scale_at(step, steps, scale=scale, schedule="constant") for step in range(steps)] == [
        scale
    ] * steps


def test_sampling_temperatures_of_twelve_steps():
    elt = [sampling_temperature(step, 12, "elt") for step in range(12)]
    np.testing.assert_allclose(
        elt,
        [1.2333333, 1.1666667, 1.1, 1.0333333, 0.9666667, 0.9, 0.8333333, 0.7666667, 0.7, 0.6333333, 0.5666667, 0.5],
    )
    assert [sampling_temperature(step, 12, "plain") for step in range(12)] == [1.0] * 12


def test_the_precisions_differ_at_two_thirds_and_for_long_rows_only():
    """What specs/choices.md says of schedule_precision."""
    rows = np.arange(1, 257)
    for steps in range(1, 65):
        for step in range(steps - 1):
            double, single = (masked_count(rows, np.full(256, (step + 1) / steps, each)) for each in PRECISIONS)
            assert np.array_equal(double, single) or 3 * (step + 1) == 2 * steps
    for steps, step, tokens, counts in ((8, 0, 1197, (1173, 1174)), (19, 4, 653, (597, 598))):
        found = [int(masked_count(tokens, np.full(1, (step + 1) / steps, each))[0]) for each in PRECISIONS]
        assert tuple(found) == counts
