"""The crops of the two photographs that become the pictures of `photos`."""

from __future__ import annotations

from typing import NamedTuple

HEIGHT, WIDTH = 427, 640
"""Size of both photographs in pixels."""

SIZES = (32, 48, 64, 96, 128)
"""Height and width of a crop in pixels: multiples of 16, so that a new pixel is the mean of whole ones."""

ROWS = 16
"""Number of crops of each size from top to bottom, evenly spread."""


class Crop(NamedTuple):
    """A square of a photograph."""

    top: int
    left: int
    size: int


class Strip(NamedTuple):
    """A part of a photograph from top to bottom."""

    first: int
    """Its first column of pixels."""
    end: int
    """The column after its last."""
    across: int
    """Number of crops of each size from left to right, evenly spread."""


# The third quarter from the left shows a bit of everything in either photograph: half the flower, and sky, roofs, water
# and trees. The last quarter shows only background.
TEST_STRIPS = (Strip(320, 480, across=5),)
TRAIN_STRIPS = (Strip(0, 320, across=15), Strip(480, WIDTH, across=5))
"""Strips left and right of the test strip: no pixel is in both splits."""


def crops(strips: tuple[Strip, ...]) -> list[Crop]:
    """Return the squares to cut out, each inside one strip."""
    return [
        Crop(row * (HEIGHT - size) // (ROWS - 1), first + column * (end - first - size) // (across - 1), size)
        for first, end, across in strips
        for size in SIZES
        for row in range(ROWS)
        for column in range(across)
    ]
