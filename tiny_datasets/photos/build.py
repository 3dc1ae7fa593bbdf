"""Make the shipped dataset `photos` again: ``python -m tiny_datasets.photos.build``. Needs scikit-learn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image

from tiny_datasets.dataset import PictureDataset, Split
from tiny_datasets.photos.crops import TEST_STRIPS, TRAIN_STRIPS, Crop, crops
from tiny_datasets.split import shuffled
from tiny_datasets.stored import write_dataset

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 16
CLASSES = ("china", "flower")
"""The photographs, by scikit-learn's names for them."""


def build(folder: Path) -> None:
    """Write `dataset.json` and `dataset.safetensors`, the same bytes every time.

    Args:
        folder: An existing folder.
    """
    photographs = [Image.fromarray(np.asarray(load_sample_image(f"{name}.jpg"))) for name in CLASSES]
    dataset = PictureDataset(
        name="photos",
        train=_split(photographs, crops(TRAIN_STRIPS)),
        test=_split(photographs, crops(TEST_STRIPS)),
        classes=CLASSES,
        description=(
            "4,000 colour 16x16 pictures cut out of two photographs at five scales; the test split shows a "
            "quarter of each photograph, of which the training split has no pixel."
        ),
        licence="CC BY 2.0, both photographs",
        source=(
            "china.jpg and flower.jpg, as scikit-learn ships them: by danielbuechele, "
            "https://www.flickr.com/photos/danielbuechele/6061409035/, and from "
            "https://www.flickr.com/photos/vultilion/6056698931/; cut out and shrunk"
        ),
        white=255,
    )
    write_dataset(folder, dataset)


def _split(photographs: list[Image.Image], squares: list[Crop]) -> Split:
    """Return a picture of every square of every photograph, in an order that mixes them."""
    examples = np.stack([_picture(photograph, crop) for photograph in photographs for crop in squares])
    labels = np.repeat(np.arange(len(photographs), dtype=np.int64), len(squares))
    order = shuffled(len(labels), "order")
    return Split(examples[order], labels[order])


def _picture(photograph: Image.Image, crop: Crop) -> NDArray[np.uint8]:
    """Return a crop, shrunk: a new pixel is the mean of the old ones it covers."""
    square = photograph.crop((crop.left, crop.top, crop.left + crop.size, crop.top + crop.size))
    return np.asarray(square.resize((SIDE, SIDE), Image.Resampling.BOX), np.uint8)


if __name__ == "__main__":
    build(Path(__file__).parent)
