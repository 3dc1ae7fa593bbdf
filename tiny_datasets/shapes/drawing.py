"""The finite set of valid pictures: a square, disc or cross in red, green or blue, on black, at each of 355 places."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tiny_datasets.errors import DatasetError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 16
"""Height and width of every picture, in pixels."""

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
"""Corners of the RGB cube, like black: a pixel keeps its colour if every channel is off by less than half of white."""

SHAPES = ("square", "disc", "cross")

CLASSES = tuple(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES)
"""The name of each class; a label is an index into it."""

SIZES = range(7, 13)
"""Height and width of a shape in pixels. In a smaller one a disc is a square without its 4 corners, and a few wrong
pixels turn one class into another; with these sizes, pictures of different classes differ in 12 pixels or more."""


class Place(NamedTuple):
    """Position and size of a shape."""

    size: int
    top: int
    left: int


PLACES = tuple(
    Place(size, top, left) for size in SIZES for top in range(SIDE - size + 1) for left in range(SIDE - size + 1)
)
"""All places at which a shape is inside the picture. Every class has one member at each place."""


def members(label: int) -> NDArray[np.uint8]:
    """Return all valid pictures of a class.

    Args:
        label: An index into `CLASSES`.

    Returns:
        uint8 ``[355, 16, 16, 3]``, 0 black and 255 white, all different, in the order of `PLACES`.

    Raises:
        DatasetError: If there is no such class.
    """
    check_labels(np.array([label]))
    return draw(np.full(len(PLACES), label), np.arange(len(PLACES)))


def draw(labels: NDArray[np.integer], places: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Draw one member for each pair of a label and a place.

    Args:
        labels: ``[count]``, indices into `CLASSES`.
        places: ``[count]``, indices into `PLACES`.

    Returns:
        uint8 ``[count, 16, 16, 3]``, 0 black and 255 white.
    """
    colours, shapes = np.divmod(labels, len(SHAPES))
    paint = np.array(list(COLOURS.values()), np.uint8)
    return footprints()[shapes, places][..., None] * paint[colours][:, None, None, :]


@functools.cache
def footprints() -> NDArray[np.bool_]:
    """Return the pixels of each shape at each place: bool ``[3, 355, 16, 16]``, read-only."""
    drawn = np.zeros((len(SHAPES), len(PLACES), SIDE, SIDE), np.bool_)
    for index, (size, top, left) in enumerate(PLACES):
        # Twice the distance from the shape's middle to a pixel's middle: a whole number, so nothing is rounded.
        down, right = np.ogrid[1 - size : size : 2, 1 - size : size : 2]
        patch = drawn[:, index, top : top + size, left : left + size]
        patch[SHAPES.index("square")] = True
        patch[SHAPES.index("disc")] = down**2 + right**2 <= size**2
        # The middle row and column; of an even size, the middle two.
        patch[SHAPES.index("cross")] = np.minimum(abs(down), abs(right)) <= 1
    drawn.setflags(write=False)
    return drawn


def check_labels(labels: NDArray[np.integer]) -> None:
    """Refuse labels that are no indices into `CLASSES`.

    Raises:
        DatasetError: If a label is no index.
    """
    if not np.issubdtype(labels.dtype, np.integer):
        raise DatasetError(f"labels of shapes must be integers, got {labels.dtype}")
    for label in (int(labels.min(initial=0)), int(labels.max(initial=0))):
        if not 0 <= label < len(CLASSES):
            raise DatasetError(f"labels of shapes must be from 0 to {len(CLASSES) - 1}, got {label}")
