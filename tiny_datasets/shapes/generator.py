"""Draw any number of valid pictures at random."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from tiny_datasets.errors import DatasetError
from tiny_datasets.shapes.drawing import CLASSES, PLACES, draw

if TYPE_CHECKING:
    from numpy.typing import NDArray


def generate(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw pictures of uniformly and independently chosen classes and places.

    The same seed always gives the same pictures; a greater count adds more after them. All members can be drawn,
    including the dataset's test pictures.

    Args:
        count: Number of pictures, at least 0.
        seed: Any whole number.

    Returns:
        uint8 ``[count, 16, 16, 3]``, 0 black and 255 white; and int64 ``[count]``, indices into `CLASSES`.

    Raises:
        DatasetError: If `count` is below 0.
    """
    if count < 0:
        raise DatasetError(f"count must be at least 0, got {count}")
    # A hash needs no random generator, whose stream a new version of its library may change. It has 256 bits, and the
    # remainder favours no choice by more than 2**-240.
    choices = [
        int.from_bytes(hashlib.sha256(f"{seed}:{index}".encode()).digest(), "big") % (len(CLASSES) * len(PLACES))
        for index in range(count)
    ]
    labels, places = np.divmod(np.array(choices, np.int64), len(PLACES))
    return draw(labels, places), labels
