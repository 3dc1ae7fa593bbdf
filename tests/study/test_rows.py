"""Rows of a study: intervals over seeds, in the range that their measure has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elt_ref.study.rows import rows_of

SEEDS = st.lists(st.floats(0, 1), min_size=1, max_size=5)


def row(measure, values):
    """Return the row of one measure of one model with a value a seed."""
    (found,) = rows_of([({"model": "m"}, [[{"measure": measure, "value": value}] for value in values])])
    return found


@pytest.mark.parametrize("measure", ["label_accuracy", "motion_accuracy", "valid_share"])
@given(values=SEEDS)
def test_an_interval_of_a_share_is_within_0_and_1(measure, values):
    found, free = row(measure, values), row("gflops_per_sample", values)
    assert 0 <= found["low"] <= found["mean"] + 1e-12
    assert found["mean"] - 1e-12 <= found["high"] <= 1
    assert found["mean"] == free["mean"]
    if free["low"] is not None and free["low"] >= 0 and free["high"] <= 1:
        assert found["low"] == free["low"]
        assert found["high"] == free["high"]


def test_a_loss_has_a_positive_interval_and_another_number_may_be_negative():
    assert row("held_out_loss", [0.1, 1.0, 10.0])["low"] > 0
    assert row("update_share", [0.0, 0.1, 1.0])["low"] < 0
