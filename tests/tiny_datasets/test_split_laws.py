from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_datasets import DatasetError
from tiny_datasets.split import check_fraction, divide, held_out_counts

CLASSES = 5
labels_of_some_examples = st.lists(st.integers(0, CLASSES - 1), min_size=CLASSES + 1, max_size=60).map(
    lambda labels: np.array(labels, np.int64)  # more examples than classes, so some class has two
)
fractions = st.floats(0, 1, exclude_min=True, exclude_max=True)


def divided(labels, fraction):
    """Divide examples that are their own index."""
    return divide(np.arange(len(labels)), labels, held_out_counts(labels, CLASSES, fraction, Path("here")))


@given(labels_of_some_examples, fractions)
def test_every_example_is_in_exactly_one_split(labels, fraction):
    train, test = divided(labels, fraction)
    assert sorted([*train.examples, *test.examples]) == list(range(len(labels)))


@given(labels_of_some_examples, fractions)
def test_an_example_keeps_its_label(labels, fraction):
    for split in divided(labels, fraction):
        assert np.array_equal(split.labels, labels[split.examples])


@given(labels_of_some_examples, fractions)
def test_every_class_trains_and_every_class_of_two_is_tested(labels, fraction):
    train, test = divided(labels, fraction)
    for label, size in enumerate(np.bincount(labels, minlength=CLASSES)):
        assert np.count_nonzero(train.labels == label) >= min(size, 1)
        assert np.count_nonzero(test.labels == label) >= (1 if size >= 2 else 0)


@given(labels_of_some_examples, fractions)
def test_every_class_gives_its_share_to_within_one_example(labels, fraction):
    _, test = divided(labels, fraction)
    for label, size in enumerate(np.bincount(labels, minlength=CLASSES)):
        assert abs(np.count_nonzero(test.labels == label) - fraction * size) <= 1


@given(labels_of_some_examples, fractions)
def test_it_is_the_same_every_time(labels, fraction):
    first, second = divided(labels, fraction), divided(labels, fraction)
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one.examples, other.examples)


def test_it_is_the_same_in_every_version():
    train, test = divided(np.array([0] * 5 + [1] * 5), 0.2)
    assert train.examples.tolist() == [3, 7, 4, 0, 5, 9, 6, 1]
    assert test.examples.tolist() == [2, 8]


def test_both_splits_begin_with_a_mix_of_the_classes():
    labels = np.repeat(np.arange(CLASSES), [200, 190, 180, 170, 160])
    for split in divided(labels, 0.5):
        counts = np.bincount(split.labels[:100], minlength=CLASSES)
        assert counts.min() >= 10  # 20 expected of each


def test_examples_of_a_split_cannot_be_overwritten_by_accident():
    train, _ = divided(np.array([0, 0]), 0.5)
    with pytest.raises(ValueError, match="read-only"):
        train.examples[0] = 1


def test_nothing_to_test_on_is_an_error():
    with pytest.raises(DatasetError, match=r"here must hold 2 or more examples of some class.*only 1 of each"):
        divided(np.arange(CLASSES), 0.5)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan"), float("inf")])
def test_a_fraction_must_lie_between_0_and_1(fraction):
    with pytest.raises(DatasetError, match=f"test_fraction must be greater than 0 and less than 1, got {fraction}"):
        check_fraction(fraction)
