"""E6, the student's loops, and λ, the weight of the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elt_ref.errors import RequestError
from elt_ref.objective import draw_student_loops
from elt_ref.schedules import truth_weight_at
from elt_ref.streams import stream

# Upper one-in-a-million points of chi-square: a right draw fails one seed in a million.
ONE_IN_A_MILLION = {1: 23.93, 2: 27.64, 3: 30.67, 4: 33.38, 6: 38.26}


def draws(min_loops, max_loops, count=3000):
    return np.array(
        [
            draw_student_loops(stream(0, "student_loops", step), min_loops=min_loops, max_loops=max_loops)
            for step in range(count)
        ]
    )


@pytest.mark.parametrize(("min_loops", "max_loops"), [(1, 3), (1, 4), (1, 6), (3, 8)])
def test_the_draw_is_uniform_from_l_min_to_one_below_l_max(min_loops, max_loops):
    values, counts = np.unique(draws(min_loops, max_loops), return_counts=True)
    assert values.tolist() == list(range(min_loops, max_loops)), "L_min … L_max − 1, and never L_max"
    expected = counts.sum() / len(counts)
    assert ((counts - expected) ** 2 / expected).sum() < ONE_IN_A_MILLION[len(counts) - 1]


@pytest.mark.parametrize("min_loops", [1, 4])
def test_with_one_choice_it_is_always_l_min(min_loops):
    assert set(draws(min_loops, min_loops + 1, count=50).tolist()) == {min_loops}


def test_it_is_a_plain_integer():
    assert type(draw_student_loops(stream(0, "student_loops"), min_loops=1, max_loops=4)) is int


@pytest.mark.parametrize(("min_loops", "max_loops"), [(1, 1), (3, 3), (4, 3), (0, 3), (-1, 2)])
def test_an_empty_or_impossible_range_is_refused(min_loops, max_loops):
    with pytest.raises(RequestError) as error:
        draw_student_loops(stream(0, "student_loops"), min_loops=min_loops, max_loops=max_loops)
    sentence = f"student draw: expected 1 ≤ L_min < L_max, got L_min = {min_loops}, L_max = {max_loops}"
    assert str(error.value) == sentence


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
