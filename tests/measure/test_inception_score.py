import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elt_ref.errors import RequestError
from elt_ref.measure import inception_score


def by_hand(logits, splits):
    """Exp E KL(p(y | x) ‖ p(y)), mean over the splits, in plain Python."""
    rows = [[math.exp(value - max(row)) for value in row] for row in logits]
    rows = [[value / sum(row) for value in row] for row in rows]
    scores = []
    for split in range(splits):  # as in metric_isc.py of torch-fidelity
        part = rows[split * len(rows) // splits : (split + 1) * len(rows) // splits]
        mean = [sum(column) / len(part) for column in zip(*part, strict=True)]
        divergences = [sum(p * math.log(p / q) for p, q in zip(row, mean, strict=True) if p) for row in part]
        scores.append(math.exp(sum(divergences) / len(part)))
    return sum(scores) / splits


def test_one_where_every_prediction_is_the_same():
    assert inception_score(np.zeros((20, 7))) == pytest.approx(1, abs=1e-12)
    assert inception_score(np.tile([3.0, -1.0, 50.0], (20, 1))) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("classes", [2, 10])
def test_the_number_of_classes_where_predictions_are_sharp_and_even(classes):
    # Classes in turn, as `evaluate` asks for them: every split holds each of them.
    logits = 1000.0 * np.eye(classes)[np.arange(20 * classes) % classes]
    assert inception_score(logits) == pytest.approx(classes, rel=1e-12)


def test_a_split_of_one_class_scores_one():
    logits = 1000.0 * np.eye(2)[np.repeat([0, 1], 10)]
    assert inception_score(logits, splits=2) == pytest.approx(1)
    assert inception_score(logits, splits=1) == pytest.approx(2)


@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(0, 9), st.integers(1, 6))
@settings(deadline=None)
def test_against_a_scalar_computation(seed, splits, more, classes):
    logits = 4 * np.random.default_rng(seed).normal(size=(splits + more, classes))
    assert inception_score(logits, splits) == pytest.approx(by_hand(logits.tolist(), splits), rel=1e-10)


def test_float32_logits_are_judged_in_float64():
    logits = np.random.default_rng(0).normal(size=(50, 10)).astype(np.float32)
    assert inception_score(logits) == inception_score(logits.astype(np.float64))


def test_fewer_samples_than_splits():
    with pytest.raises(RequestError, match="expected at least 10 samples, one a split, got 9"):
        inception_score(np.zeros((9, 3)))
