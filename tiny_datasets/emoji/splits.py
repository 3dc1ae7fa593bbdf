"""Unpack the pictures of the shipped dataset `emoji` and divide them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tiny_datasets.dataset import PictureDataset, Split
from tiny_datasets.split import divide, mixed

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAME = "emoji"
FILE = "pictures.npz"
"""Every picture once, in the order of the package, and its label. Compressed: half as long as a stored dataset."""

CLASSES = ("people", "flags", "objects", "symbols", "places", "smileys", "animals", "food", "activities")
"""The groups of Unicode, from the largest to the smallest."""

WHITE = 255
TEST_FRACTION = 0.2


def draw_dataset() -> PictureDataset:
    """Return the dataset, the same one every time."""
    with np.load(Path(__file__).parent / FILE) as file:
        train, test = split(file["pictures"], file["labels"])
    return PictureDataset(
        name=NAME,
        train=train,
        test=test,
        classes=CLASSES,
        description=(
            "1,906 Noto emoji in colour, 16x16 pixels on white, in the nine groups of Unicode and without variants of "
            "skin tone; no picture of the test split is in the training split, but many resemble one."
        ),
        licence="Apache-2.0 (Noto Emoji); the flags are in the public domain or exempt from copyright",
        source=(
            "Noto Emoji v2.048, https://github.com/googlefonts/noto-emoji, in the npm package "
            "emoji-datasource-google 16.0.0, https://github.com/iamcal/emoji-data; put on white and shrunk"
        ),
        white=WHITE,
    )


def split(pictures: NDArray[np.uint8], labels: NDArray[np.int64]) -> tuple[Split, Split]:
    """Return the training and the test split: a fifth of each class is held out.

    Some emoji look the same, such as the flags of a country and of its islands. Pictures that are equal to the bit stay
    in the training split, so that a held-out picture is one that training has not seen.

    Args:
        pictures: uint8 ``[count, 16, 16, 3]``.
        labels: int64 ``[count]``, indices into `CLASSES`.
    """
    _, kinds, sizes = np.unique(pictures.reshape(len(pictures), -1), axis=0, return_inverse=True, return_counts=True)
    single = sizes[kinds.reshape(-1)] == 1
    held_out = [round(TEST_FRACTION * size) for size in np.bincount(labels, minlength=len(CLASSES)).tolist()]
    train, test = divide(pictures[single], labels[single], held_out)
    return mixed(
        np.concatenate([train.examples, pictures[~single]]), np.concatenate([train.labels, labels[~single]])
    ), test
