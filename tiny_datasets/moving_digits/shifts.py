"""Measure how far the picture moves from each frame of a clip to the next."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from tiny_datasets.errors import DatasetError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def check_clips(clips: NDArray[np.floating], frames: int, side: int) -> NDArray[np.floating]:
    """Check grey clips, and return them with values clipped to 0 … 1, as on a screen.

    Args:
        clips: Floating-point ``[count, frames, side, side, 1]``, 0 black and 1 white.
        frames: Required number of frames.
        side: Required height and width of a frame in pixels.

    Raises:
        DatasetError: If the clips have another shape or dtype.
    """
    if not np.issubdtype(clips.dtype, np.floating):
        raise DatasetError(f"clips to check must be floating-point, 0 black and 1 white, got {clips.dtype}")
    if clips.ndim != 5 or clips.shape[1:] != (frames, side, side, 1):
        raise DatasetError(
            f"clips to check must have shape [count, {frames}, {side}, {side}, 1], got {list(clips.shape)}"
        )
    return np.clip(clips, 0, 1)


def frame_shifts(clips: NDArray[np.floating], clearly_better: float) -> NDArray[np.int64]:
    """Return the shift between each frame and the next, one of nine: at most one pixel along each axis.

    The shifted frame, filled with black from outside, has the smallest sum of squared differences from the next frame.
    If that is not clearly better than standing still, or values are NaN, the shift is 0.

    Args:
        clips: Floating-point ``[count, frames, height, width, channels]``.
        clearly_better: A shift is accepted if its error is below this share, at most 1, of the error of standing still.
            The error is 0 for a digit that really moves, small if a tokenizer or a model has blurred it, and about the
            same for every shift if the frames are noise.

    Returns:
        int64 ``[count, frames − 1, 2]``, the pixels moved down and to the right, −1, 0 or 1.
    """
    before, after = clips[:, :-1], clips[:, 1:]
    height, width = clips.shape[2:4]
    padded = np.pad(before, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)))
    # Standing still comes first, so that it wins ties.
    shifts = sorted(itertools.product((-1, 0, 1), repeat=2), key=lambda shift: shift != (0, 0))
    errors = np.stack(
        [
            np.square(after - padded[:, :, 1 - down : 1 - down + height, 1 - right : 1 - right + width]).sum((2, 3, 4))
            for down, right in shifts
        ]
    )
    best = np.where(errors.min(axis=0) < clearly_better * errors[0], errors.argmin(axis=0), 0)
    return np.array(shifts, np.int64)[best]
