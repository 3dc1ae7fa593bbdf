"""Make the shipped dataset `shapes` of all valid pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tiny_datasets.dataset import PictureDataset, Split
from tiny_datasets.shapes.checker import is_valid
from tiny_datasets.shapes.drawing import CLASSES, PLACES, draw
from tiny_datasets.split import divide, shuffled

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAME = "shapes"

TEST_PLACES = 71
"""A fifth of the 355 places."""


def draw_dataset() -> PictureDataset:
    """Return the dataset: every valid picture once, the same ones every time.

    A place is held out for all classes or for none, so no training picture has the place of a test picture. The dataset
    is drawn, not stored: drawing is as fast as reading and cannot disagree with the checker.
    """
    places = np.arange(len(PLACES))
    train, test = divide(places, np.zeros_like(places), [TEST_PLACES])
    return PictureDataset(
        name=NAME,
        train=_every_class_at(train.examples),
        test=_every_class_at(test.examples),
        classes=CLASSES,
        description=(
            "All 3,195 colour 16x16 pictures of one red, green or blue square, disc or cross on black; "
            "the test split has the places and sizes that the training split has not."
        ),
        licence="Apache-2.0, as this package",
        source="drawn by tiny_datasets.shapes",
        white=255,
        is_valid=is_valid,
    )


def _every_class_at(places: NDArray[np.int64]) -> Split:
    order = shuffled(len(CLASSES) * len(places), "order")
    labels, chosen = np.divmod(np.array(order), len(places))
    return Split(draw(labels, places[chosen]), labels)
