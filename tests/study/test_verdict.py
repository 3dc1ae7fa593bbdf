import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elt_ref.measure.interval import Interval
from elt_ref.study.verdict import Verdict, all_of, any_of, at_least, at_most

HOLDS, DOES_NOT, OPEN = Verdict.HOLDS, Verdict.DOES_NOT, Verdict.UNDECIDED
ENDS = st.tuples(st.floats(-10, 10), st.floats(0, 5))
SOME = st.lists(st.sampled_from(Verdict), max_size=5)


def interval(low, high, count=3):
    return Interval((low + high) / 2, low, high, count)


@given(ENDS, st.floats(-10, 15))
def test_a_finding_is_decided_exactly_where_the_bound_is_outside(ends, bound):
    low, high = ends[0], ends[0] + ends[1]
    most = at_most("It", interval(low, high), bound).verdict
    assert (most == HOLDS) == (high <= bound)
    assert (most == DOES_NOT) == (low > bound)
    least = at_least("It", interval(-high, -low), -bound).verdict
    assert least == most  # the mirror image


@given(ENDS, st.floats(-10, 15), st.integers(1, 2))
def test_fewer_than_three_seeds_decide_nothing(ends, bound, count):
    assert at_most("It", interval(ends[0], ends[0] + ends[1], count), bound).verdict == OPEN


def test_what_is_no_number_decides_nothing():
    nothing = Interval(math.nan, math.nan, math.nan, 5)
    assert {at_most("It", nothing, 1.0).verdict, at_least("It", nothing, 1.0).verdict} == {OPEN}
    assert at_most("It", nothing, 1.0).document()["mean"] is None


@given(SOME, SOME)
def test_all_and_any_are_kleenes(some, more):
    assert all_of(some) == (DOES_NOT if DOES_NOT in some else OPEN if OPEN in some else HOLDS)
    assert any_of(some) == (HOLDS if HOLDS in some else OPEN if OPEN in some else DOES_NOT)
    assert all_of([*some, *more]) == all_of([all_of(some), all_of(more)])
    opposite = {HOLDS: DOES_NOT, DOES_NOT: HOLDS, OPEN: OPEN}
    assert opposite[all_of(some)] == any_of(opposite[each] for each in some)


@pytest.mark.parametrize("verdict", Verdict)
def test_verdicts_have_the_three_published_names(verdict):
    assert verdict in ("holds here", "does not", "not decidable here")
