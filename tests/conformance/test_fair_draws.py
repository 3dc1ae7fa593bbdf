"""The judgement of random draws: fair ones pass at the stated rate, and dependent or uneven ones do not."""

import numpy as np
import pytest

from elt_ref.conformance import compare
from elt_ref.conformance.compare import are_fair
from elt_ref.streams import stream


@pytest.mark.parametrize(("values", "count"), [(2, 4000), (3, 4000), (5, 4000), (31, 500), (7, 20), (4, 1)])
def test_fair_draws_pass(values, count):
    assert all(are_fair(stream(seed, "fair").integers(values, size=count), 0, values) for seed in range(100))


def test_the_error_rate_is_kept_where_it_can_be_measured(monkeypatch):
    monkeypatch.setattr(compare, "ERROR_RATE", 0.2)
    refused = sum(not are_fair(stream(seed, "rate").integers(3, size=60), 0, 3) for seed in range(1000))
    assert 0 < refused < 200, "the bound is no bound, or it refuses nobody"


def test_a_single_value_is_fair():
    assert are_fair(np.full(200, 1), 1, 2)


@pytest.mark.parametrize(
    "unfair",
    [
        np.sort,
        lambda drawn: np.resize(drawn[:900], 4000),
        lambda drawn: np.where(np.arange(4000) % 10 == 0, 1, drawn),
        lambda drawn: np.where(np.append(False, drawn[1:] == drawn[:-1]), (drawn + 1) % 3, drawn),
        lambda drawn: np.arange(len(drawn)) % 3,
        lambda drawn: np.stack([drawn[::2], 2 - drawn[::2]], axis=1).ravel(),
        lambda drawn: drawn + 1,
    ],
    ids=["sorted", "repeated", "uneven", "never twice", "in turn", "mirrored pairs", "beyond"],
)
def test_unfair_draws_fail(unfair):
    assert not are_fair(unfair(stream(1, "unfair").integers(3, size=4000)), 0, 3)
