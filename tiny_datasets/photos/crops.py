"""Where the pictures of `photos` are cut out of the two photographs."""

from __future__ import annotations

from typing import NamedTuple

HEIGHT, WIDTH = 427, 640
"""Of both photographs, in pixels."""

SIZES = (32, 48, 64, 96, 128)
"""Height and width of what is cut out, in pixels: multiples of 16, so that a new pixel is the mean of whole ones."""

ROWS = 16
"""How many pictures of each size are cut out from top to bottom, evenly spread."""


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
    """How many pictures of each size are cut out from left to right, evenly spread."""


# The third quarter from the left is the one that shows something of all there is to see in either photograph: half
# the flower, and sky, roofs, water and trees. The last quarter would show nothing but background.
TEST_STRIPS = (Strip(320, 480, across=5),)
TRAIN_STRIPS = (Strip(0, 320, across=15), Strip(480, WIDTH, across=5))
"""What the test strip leaves: no pixel is in both."""


def crops(strips: tuple[Strip, ...]) -> list[Crop]:
    """Return the squares to cut out, each wholly inside one strip."""
    return [
        Crop(row * (HEIGHT - size) // (ROWS - 1), first + column * (end - first - size) // (across - 1), size)
        for first, end, across in strips
        for size in SIZES
        for row in range(ROWS)
        for column in range(across)
    ]
