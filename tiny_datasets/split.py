"""Divide examples into training and test, class by class, the same way on every machine and in every year."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from tiny_datasets.dataset import Split
from tiny_datasets.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


def check_fraction(test_fraction: float) -> None:
    """Refuse a test fraction that is not strictly between 0 and 1, such as NaN.

    Raises:
        DatasetError: If the fraction is out of range.
    """
    if not 0 < test_fraction < 1:
        raise DatasetError(f"test_fraction must be greater than 0 and less than 1, got {test_fraction}")


def held_out_counts(labels: NDArray[np.int64], classes: int, test_fraction: float, where: Path) -> list[int]:
    """Return how many examples of each class to hold out.

    Every class keeps at least one training example, and every class of two or more gives at least one test example;
    otherwise a class gives `test_fraction` of its examples, rounded to the nearest whole number.

    Args:
        labels: int64 ``[count]``, from 0 to ``classes − 1``.
        classes: Number of classes.
        test_fraction: Strictly between 0 and 1.
        where: The file or folder of the examples, for the error.

    Returns:
        One count per class.

    Raises:
        DatasetError: If no class has two examples, so that there would be nothing to test on.
    """
    sizes = np.bincount(labels, minlength=classes).tolist()
    counts = [min(max(round(test_fraction * size), 1), size - 1) if size > 1 else 0 for size in sizes]
    if not any(counts):
        raise DatasetError(
            f"{where} must hold 2 or more examples of some class, one of them to test on, got only 1 of each"
        )
    return counts


def divide(examples: NDArray[Any], labels: NDArray[np.int64], held_out: Sequence[int]) -> tuple[Split, Split]:
    """Divide examples into training and test, both in a fixed order that mixes the classes.

    Args:
        examples: ``[count, …]``.
        labels: int64 ``[count]``, indices into `held_out`.
        held_out: Number of examples of each class for the test split, at most all of them.

    Returns:
        The training split and the test split; every example is in exactly one of them.
    """
    # With one permutation for both, the training split would begin with the classes whose test share fills up first.
    left, chosen = list(held_out), set()
    for index in shuffled(len(labels), "choose"):
        label = labels[index]
        if left[label]:
            left[label] -= 1
            chosen.add(index)
    order = shuffled(len(labels), "order")
    train = [index for index in order if index not in chosen]
    test = [index for index in order if index in chosen]
    return Split(examples[train], labels[train]), Split(examples[test], labels[test])


def mixed(examples: NDArray[Any], labels: NDArray[np.int64]) -> Split:
    """Return all of the examples as one split, in a fixed order that mixes the classes.

    Args:
        examples: ``[count, …]``.
        labels: int64 ``[count]``.
    """
    order = shuffled(len(labels), "order")
    return Split(examples[order], labels[order])


def shuffled(count: int, purpose: str) -> list[int]:
    """Return a fixed permutation of ``range(count)``, different for every purpose.

    It sorts by a hash: a random generator may change its stream in a new version of its library.
    """
    return sorted(range(count), key=lambda index: hashlib.sha256(f"{purpose}:{index}".encode()).digest())
