"""Draw clips of a picture that moves on black."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def draw_clips(pictures: NDArray[np.uint8], corners: NDArray[np.integer], side: int) -> NDArray[np.uint8]:
    """Draw one clip of each picture.

    Args:
        pictures: uint8 ``[count, height, width, channels]``, 0 black.
        corners: Integers ``[count, frames, 2]``, the row and column of the picture's top left pixel in each frame; the
            picture must be inside every frame.
        side: Height and width of a frame, in pixels.

    Returns:
        uint8 ``[count, frames, side, side, channels]``.
    """
    count, height, width, channels = pictures.shape
    frames = corners.shape[1]
    clips = np.zeros((count, frames, side, side, channels), np.uint8)
    clip, frame = np.ogrid[:count, :frames]
    rows = corners[..., 0, None] + np.arange(height)
    columns = corners[..., 1, None] + np.arange(width)
    clips[clip[..., None, None], frame[..., None, None], rows[..., None], columns[..., None, :]] = pictures[:, None]
    return clips
