"""The loops of each sampling step: what a schedule may be, how it is written, and early and late loops."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elt_ref.errors import RequestError
from elt_ref.schedules import EarlyExit, leaning_schedule, loops_per_step, parse_loop_schedule


@pytest.mark.parametrize(
    ("schedule", "sentence"),
    [
        (0, "loops: expected an integer of at least 1, got 0"),
        (-2, "loops: expected an integer of at least 1, got -2"),
        (True, "loops: expected an integer of at least 1, got True"),
        (1.5, "loops: expected an integer of at least 1, got 1.5"),
        ("3", "loops: expected an integer of at least 1, got '3'"),
        ([1, 2, 3], "loops: expected one number for each of 4 sampling steps, got 3"),
        ([], "loops: expected one number for each of 4 sampling steps, got 0"),
        ([1, 2, 0, 4], "loops of step 2: expected an integer of at least 1, got 0"),
        ([1, 2, 3, 4.0], "loops of step 3: expected an integer of at least 1, got 4.0"),
        ((1, "2", 3, 4), "loops of step 1: expected an integer of at least 1, got '2'"),
    ],
    ids=repr,
)
@pytest.mark.usefixtures("as_user")
def test_a_schedule_that_does_not_fit_is_refused(schedule, sentence):
    with pytest.raises(RequestError) as error:
        loops_per_step(schedule, 4)
    assert str(error.value) == sentence


def test_a_schedule_that_fits_has_loops_for_every_step():
    assert loops_per_step(3, 4) == [3, 3, 3, 3]
    assert loops_per_step((1, 2), 2) == [1, 2]
    assert loops_per_step(EarlyExit(0.1, 3), 2) == [EarlyExit(0.1, 3)] * 2


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan"), float("inf")])
def test_a_threshold_out_of_range_is_refused(threshold):
    with pytest.raises(RequestError) as error:
        EarlyExit(threshold, 4)
    assert str(error.value) == f"early exit: expected a threshold in 0…1, got {threshold}"


@pytest.mark.parametrize("most", [0, -1, True])
def test_a_wrong_most_of_loops_is_refused(most):
    with pytest.raises(RequestError) as error:
        EarlyExit(0.1, most)
    assert str(error.value) == f"early exit: max_loops: expected an integer of at least 1, got {most}"


@pytest.mark.parametrize(
    ("text", "schedule"),
    [
        ("4", 4),
        ("1,2,4,4", [1, 2, 4, 4]),
        (" 1, 2", [1, 2]),
        ("exit:0.02", EarlyExit(0.02, 6)),
        ("exit:0", EarlyExit(0.0, 6)),
        ("exit:1e-3:9", EarlyExit(0.001, 9)),
    ],
)
def test_a_schedule_is_read_as_typed(text, schedule):
    assert parse_loop_schedule(text, max_loops=3, steps=4) == schedule


@pytest.mark.parametrize(
    "text", ["", "four", "1,,2", "1,2,", "1.5", "exit:", "exit:x", "exit:0.1:", "exit:0.1:2:3", "1;2"]
)
def test_anything_else_is_refused_with_examples(text):
    with pytest.raises(RequestError) as error:
        parse_loop_schedule(text, max_loops=3, steps=4)
    assert str(error.value) == (
        f"loops: expected a number (4), one a sampling step (1,2,4,4), more early or late (early:4, late:4) "
        f"or early exit (exit:0.02), got '{text}'"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0", "loops: expected an integer of at least 1, got 0"),
        ("1,-2", "loops: expected an integer of at least 1, got -2"),
        ("exit:2", "early exit: expected a threshold in 0…1, got 2.0"),
        ("exit:nan", "early exit: expected a threshold in 0…1, got nan"),
        ("exit:0.1:0", "early exit: max_loops: expected an integer of at least 1, got 0"),
    ],
)
def test_numbers_out_of_range_are_refused_as_such(text, sentence):
    with pytest.raises(RequestError) as error:
        parse_loop_schedule(text, max_loops=3, steps=4)
    assert str(error.value) == sentence


@given(st.integers(1, 9), st.integers(1, 40))
def test_leaning_schedules_cost_as_much_as_the_mean_and_mirror_each_other(mean, steps):
    early, late = leaning_schedule(mean, steps, "early"), leaning_schedule(mean, steps, "late")
    assert len(early) == steps
    assert sum(early) == mean * steps
    assert late == early[::-1]
    assert min(early) >= 1
    assert max(early) <= 2 * mean - 1 + (steps > 1)


def test_leaning_schedules_by_hand():
    assert leaning_schedule(4, 7, "early") == [7, 6, 5, 4, 3, 2, 1]
    assert leaning_schedule(4, 7, "late") == [1, 2, 3, 4, 5, 6, 7]
    assert leaning_schedule(3, 1, "early") == [3]
    assert parse_loop_schedule("late:2", max_loops=4, steps=3) == [1, 2, 3]


@pytest.mark.parametrize("text", ["early:0", "late:x", "early:2:3", "late:"])
def test_a_leaning_schedule_that_is_none_is_refused(text):
    with pytest.raises(RequestError):
        parse_loop_schedule(text, max_loops=4, steps=3)
