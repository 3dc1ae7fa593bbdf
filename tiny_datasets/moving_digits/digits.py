"""The pictures that move: the shipped dataset `digits`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from tiny_datasets.stored import read_dataset

if TYPE_CHECKING:
    from tiny_datasets.dataset import PictureDataset

DIGIT_SIDE = 8
"""Height and width of a digit, in pixels."""


def read_digits() -> PictureDataset:
    """Return the shipped digits, uint8 ``[count, 8, 8, 1]``.

    Raises:
        DatasetError: If the files of `digits` are missing or damaged.
    """
    return cast("PictureDataset", read_dataset(Path(__file__).parents[1] / "digits"))
