"""The exact check whether a picture is a valid member of its class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tiny_datasets.errors import DatasetError
from tiny_datasets.shapes.drawing import COLOURS, SHAPES, SIDE, check_labels, footprints

if TYPE_CHECKING:
    from numpy.typing import NDArray

WRONG_PIXELS = 2
"""Default number of wrong pixels, of 256, that a valid picture may have.

It allows a stray pixel or two, which anyone would overlook, and cannot confuse two classes, whose members differ in 12
pixels or more. Up to 5, no picture is valid for two classes.
"""

_BLACK, _NO_COLOUR = 0, -1


def is_valid(
    pictures: NDArray[np.floating], labels: NDArray[np.integer], *, wrong_pixels: int = WRONG_PIXELS
) -> NDArray[np.bool_]:
    """Return whether each picture is a member of its class, up to a few wrong pixels.

    Args:
        pictures: Floating-point ``[count, 16, 16, 3]``, 0 black and 1 white, as for `nearest_member_distance`.
        labels: Integers ``[count]``, indices into `CLASSES`.
        wrong_pixels: Number of pixels that may differ in colour from the member, at least 0.

    Returns:
        bool ``[count]``.

    Raises:
        DatasetError: If `wrong_pixels` is below 0, or as for `nearest_member_distance`.
    """
    if wrong_pixels < 0:
        raise DatasetError(f"wrong_pixels must be at least 0, got {wrong_pixels}")
    return nearest_member_distance(pictures, labels) <= wrong_pixels


def nearest_member_distance(pictures: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the number of pixels in which each picture differs from the nearest member of its class.

    Each pixel is first rounded in RGB to the nearest of black and the classes' colours; ties prefer black, red, green,
    blue in this order. Noise below 0.5 in every channel of a member therefore changes nothing. Values beyond 0 and 1
    count as 0 and 1, as on a screen; a pixel with a NaN has no colour and is always wrong.

    Args:
        pictures: Floating-point ``[count, 16, 16, 3]``, 0 black and 1 white.
        labels: Integers ``[count]``, indices into `CLASSES`.

    Returns:
        int64 ``[count]``, from 0 to 256.

    Raises:
        DatasetError: If the pictures or labels have another shape or dtype, or a label has no class.
    """
    if not np.issubdtype(pictures.dtype, np.floating):
        raise DatasetError(f"pictures to check must be floating-point, 0 black and 1 white, got {pictures.dtype}")
    if pictures.ndim != 4 or pictures.shape[1:] != (SIDE, SIDE, 3) or labels.shape != pictures.shape[:1]:
        raise DatasetError(
            f"pictures to check must have shape [count, {SIDE}, {SIDE}, 3] and their labels [count], "
            f"got {list(pictures.shape)} and {list(labels.shape)}"
        )
    check_labels(labels)
    painted = _colour_indices(pictures).reshape(-1, SIDE * SIDE)
    distances = np.empty(len(pictures), np.int64)
    for label in np.unique(labels):
        colour, shape = divmod(int(label), len(SHAPES))
        rows = labels == label
        inside = footprints()[shape].reshape(-1, SIDE * SIDE).astype(np.float32)
        not_black, not_colour = (painted[rows] != index for index in (_BLACK, 1 + colour))
        # Outside the shape every pixel that is not black is wrong; inside it, every pixel of another colour.
        change = not_colour.astype(np.float32) - not_black
        distances[rows] = np.min(not_black.sum(axis=1)[:, None] + change @ inside.T, axis=1)
    return distances


def _colour_indices(pictures: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return each pixel's colour, ``[count, 16, 16]``: 0 black, 1 red, 2 green, 3 blue, −1 none."""
    palette = np.array([(0, 0, 0), *COLOURS.values()], np.float64) / 255
    seen = np.clip(pictures.astype(np.float64), 0, 1)
    # |p − c|² = |p|² − 2 (p·c − |c|²/2), so the nearest colour has the greatest value in brackets.
    nearest = np.argmax(seen @ palette.T - (palette**2).sum(axis=1) / 2, axis=-1)
    return np.where(np.isnan(seen).any(axis=-1), _NO_COLOUR, nearest)
