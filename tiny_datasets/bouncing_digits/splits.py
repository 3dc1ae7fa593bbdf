"""Make the shipped dataset `bouncing_digits` of all digits, each on four paths."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from tiny_datasets.bouncing_digits.motions import DIRECTIONS, FRAMES, SIDE, find_motions
from tiny_datasets.dataset import ClipDataset, Motions, Split
from tiny_datasets.moving_digits.digits import DIGIT_SIDE, read_digits
from tiny_datasets.moving_digits.drawing import draw_clips
from tiny_datasets.split import shuffled

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAME = "bouncing_digits"

CLIPS_PER_DIGIT = 4
"""Paths of each digit; their directions are quarter turns apart, so that no clip occurs twice."""

LAST = SIDE - DIGIT_SIDE
"""The greatest row and column of a digit's top left pixel; the least is 0."""


def draw_dataset() -> ClipDataset:
    """Return the dataset: every digit in four directions, the same clips every time.

    A training clip shows a training picture of `digits`, a test clip one of its test pictures.

    Raises:
        DatasetError: If the files of `digits` are missing or damaged.
    """
    digits = read_digits()
    train, train_motions = _bouncing(digits.train, "train")
    test, test_motions = _bouncing(digits.test, "test")
    return ClipDataset(
        name=NAME,
        train=train,
        test=test,
        classes=digits.classes,
        description=(
            "Grey clips of 8 frames of 16x16 pixels: each of the 1,797 pictures of digits starts four times, anywhere, "
            "and moves one pixel a frame, straight or diagonally, and back from walls; a clip's motion is its first."
        ),
        licence=digits.licence,
        source=f"moved by tiny_datasets.bouncing_digits; the digits: {digits.source}",
        white=digits.white,
        motions=Motions(tuple(DIRECTIONS), train_motions, test_motions),
        find_motions=find_motions,
    )


def _bouncing(digits: Split, part: str) -> tuple[Split, NDArray[np.int64]]:
    """Return every digit on its paths, in an order that mixes classes and motions; and the motions."""
    order = shuffled(CLIPS_PER_DIGIT * len(digits), "order")
    copies, chosen = np.divmod(np.array(order, np.int64), len(digits))
    drawn = np.array([_draw_numbers(f"{part}:{index}") for index in order], np.int64)
    # All clips of a digit are straight or all are diagonal, by the parity of its number.
    motions = (chosen + copies * (len(DIRECTIONS) // CLIPS_PER_DIGIT)) % len(DIRECTIONS)
    velocity = np.array(list(DIRECTIONS.values()))[motions]
    # The first step never meets a wall, so every clip begins in the direction of its motion.
    start = drawn % np.where(velocity == 0, LAST + 1, LAST) + (velocity < 0)
    free = start[:, None] + np.arange(FRAMES)[:, None] * velocity[:, None]
    # A wall folds a straight path back: 8 stays 8, 9 becomes 7, and −1 becomes 1.
    corners = LAST - abs(LAST - free % (2 * LAST))
    return Split(draw_clips(digits.examples[chosen], corners, SIDE), digits.labels[chosen]), motions


def _draw_numbers(purpose: str) -> tuple[int, int]:
    """Return two whole numbers below 2³², from a hash: a new version of a random generator may change its stream."""
    digest = hashlib.sha256(purpose.encode()).digest()
    return int.from_bytes(digest[:4], "big"), int.from_bytes(digest[4:8], "big")
