"""The floor under our time: passes are timed by kind and size, and a sum of them grows with their number."""

from elt_ref.bench.floor import pass_seconds


def test_the_floor_is_the_sum_over_passes():
    few = pass_seconds({("arithmetic", 100_000): 1, ("exp", 100_000): 1})
    many = pass_seconds({("arithmetic", 100_000): 40, ("exp", 100_000): 40})
    assert 0 < few < many


def test_an_exp_costs_more_than_a_product_and_a_large_array_more_than_a_small_one():
    product, exp = (pass_seconds({(kind, 200_000): 1}) for kind in ("arithmetic", "exp"))
    assert product < exp
    assert pass_seconds({("arithmetic", 2_000): 1}) < product


def test_no_pass_takes_no_time():
    assert pass_seconds({("arithmetic", 0): 5, ("exp", 10): 0}) == 0
