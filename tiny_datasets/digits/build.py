"""Make the shipped dataset `digits` again: ``python -m tiny_datasets.digits.build``. Needs scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from tiny_datasets.dataset import PictureDataset
from tiny_datasets.split import divide
from tiny_datasets.stored import write_dataset

WHITE = 16
TEST_PICTURES_PER_CLASS = 36
"""Test pictures of every digit, 360 in all: as close to a fifth of the 1,797 pictures as a balanced split allows."""


def build(folder: Path) -> None:
    """Write `dataset.json` and `dataset.safetensors`, the same bytes every time.

    Args:
        folder: An existing folder.
    """
    flat, digits = load_digits(return_X_y=True)
    pictures = np.asarray(flat).astype(np.uint8).reshape(-1, 8, 8, 1)
    train, test = divide(pictures, np.asarray(digits).astype(np.int64), [TEST_PICTURES_PER_CLASS] * 10)
    dataset = PictureDataset(
        name="digits",
        train=train,
        test=test,
        classes=tuple("0123456789"),
        description=(
            "1,797 grey 8x8 pictures of digits written by 13 people; a pixel's value is how many of "
            "the 4x4 pixels it was made of were on. The training and the test split share these writers."
        ),
        licence="CC BY 4.0 (UCI Machine Learning Repository); BSD-3-Clause as part of scikit-learn",
        source=(
            "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, 1998, "
            "https://doi.org/10.24432/C50P49; the test part, as scikit-learn ships it"
        ),
        white=WHITE,
    )
    write_dataset(folder, dataset)


if __name__ == "__main__":
    build(Path(__file__).parent)
