import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elt_ref.measure.interval import positive_interval, ratio_interval, t_interval, t_quantile
from elt_ref.study.verdict import Verdict, at_least, at_most

VALUES = st.lists(st.floats(0.01, 100), min_size=2, max_size=8).map(np.array)


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (9, 2.2622), (30, 2.0423), (120, 1.9799)],
)
def test_quantiles_are_those_of_the_printed_table(freedom, quantile):
    assert t_quantile(0.975, freedom) == pytest.approx(quantile, abs=6e-5)


@pytest.mark.parametrize("probability", [0.9, 0.95, 0.995])
def test_two_degrees_of_freedom_have_a_closed_form(probability):
    exact = (2 * probability - 1) * math.sqrt(2 / (4 * probability * (1 - probability)))
    assert t_quantile(probability, 2) == pytest.approx(exact, rel=1e-9)


def test_an_interval_covers_the_truth_19_times_in_20():
    generator = np.random.default_rng(0)
    drawn = generator.normal(3.0, 2.0, size=(4000, 3))
    intervals = [t_interval(values) for values in drawn]
    covered = np.mean([interval.low <= 3.0 <= interval.high for interval in intervals])
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / len(drawn))


@given(VALUES, st.floats(-10, 10), st.floats(0.1, 10))
def test_an_interval_moves_and_stretches_with_its_values(values, shift, scale):
    before, after = t_interval(values), t_interval(scale * values + shift)
    for name in ("mean", "low", "high"):
        expected = scale * getattr(before, name) + shift
        assert getattr(after, name) == pytest.approx(expected, rel=1e-6, abs=1e-6 * (1 + before.high - before.low))


@given(st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)), min_size=2, max_size=6).map(np.array))
def test_the_inverse_ratio_has_the_inverse_interval(pairs):
    one, other = ratio_interval(pairs[:, 0], pairs[:, 1]), ratio_interval(pairs[:, 1], pairs[:, 0])
    assert one.mean == pytest.approx(1 / other.mean)
    assert one.low * other.high == pytest.approx(1)
    assert 0 < one.low <= one.mean <= one.high


def test_pairing_removes_what_a_seed_does_to_both_sides():
    seeds = np.array([1.0, 10.0, 100.0])
    paired = ratio_interval(2 * seeds, seeds)
    assert paired.low == pytest.approx(2) == paired.high


def test_one_seed_has_an_endless_interval_and_a_diverged_one_none():
    alone = t_interval(np.array([2.0]))
    assert (alone.low, alone.high) == (-math.inf, math.inf)
    assert math.isnan(t_interval(np.array([2.0, math.nan, 1.0])).mean)


@pytest.mark.parametrize("under", [0.0, math.nan])
def test_a_ratio_without_a_logarithm_decides_nothing(under):
    found = ratio_interval(np.array([1.0, 1.0, 1.0]), np.array([1.0, under, 1.0]))
    assert not math.isfinite(found.mean)
    assert at_most("It", found, 1.0).verdict == at_least("It", found, 1.0).verdict
    assert at_most("It", found, 1.0).verdict == Verdict.UNDECIDED


def test_an_interval_of_positive_values_is_positive_and_goes_with_their_unit():
    values = np.array([650.0, 20.0, 90.0])
    found, scaled = positive_interval(values), positive_interval(3 * values)
    assert 0 < found.low < found.mean < found.high
    assert found.mean == pytest.approx(np.exp(np.log(values).mean()))
    np.testing.assert_allclose(scaled[:3], 3 * np.array(found[:3]))
    assert t_interval(values).low < 0
    assert positive_interval(np.array([0.0, 1.0, 2.0])) == t_interval(np.array([0.0, 1.0, 2.0]))
