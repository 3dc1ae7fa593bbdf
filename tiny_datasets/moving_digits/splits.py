"""Make the shipped dataset `moving_digits` of all digits in all four directions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tiny_datasets.dataset import ClipDataset, Motions, Split
from tiny_datasets.moving_digits.digits import DIGIT_SIDE, read_digits
from tiny_datasets.moving_digits.drawing import draw_clips
from tiny_datasets.moving_digits.motions import DIRECTIONS, FRAMES, SIDE, find_motions
from tiny_datasets.split import shuffled

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAME = "moving_digits"


def draw_dataset() -> ClipDataset:
    """Return the dataset: every digit once in every direction, the same clips every time.

    A training clip shows a training picture of `digits`, a test clip one of its test pictures.

    Raises:
        DatasetError: If the files of `digits` are missing or damaged.
    """
    digits = read_digits()
    (train, train_motions), (test, test_motions) = (_every_direction(split) for split in (digits.train, digits.test))
    return ClipDataset(
        name=NAME,
        train=train,
        test=test,
        classes=digits.classes,
        description=(
            "Grey clips of 4 frames of 12x12 pixels: each of the 1,797 pictures of digits moves one pixel a frame "
            "up, down, left and right, through the centre in its second frame."
        ),
        licence=digits.licence,
        source=f"moved by tiny_datasets.moving_digits; the digits: {digits.source}",
        white=digits.white,
        motions=Motions(tuple(DIRECTIONS), train_motions, test_motions),
        find_motions=find_motions,
    )


def _every_direction(digits: Split) -> tuple[Split, NDArray[np.int64]]:
    """Return every digit in every direction, in an order that mixes both, and the motions."""
    order = shuffled(len(DIRECTIONS) * len(digits), "order")
    motions, chosen = np.divmod(np.array(order, np.int64), len(digits))
    centre = (SIDE - DIGIT_SIDE) // 2
    steps = np.arange(FRAMES) - 1
    corners = centre + steps[:, None] * np.array(list(DIRECTIONS.values()))[motions][:, None]
    clips = draw_clips(digits.examples[chosen], corners, SIDE)
    return Split(clips, digits.labels[chosen]), motions
