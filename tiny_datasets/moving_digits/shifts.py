"""Find how far the picture moves from each frame of a clip to the next."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from tiny_datasets.errors import DatasetError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def check_clips(clips: NDArray[np.floating], frames: int, side: int) -> NDArray[np.floating]:
    """Return grey clips with the values beyond 0 and 1 taken for 0 and 1, as a screen shows them.

    Args:
        clips: Floating-point ``[count, frames, side, side, 1]``, 0 black and 1 white.
        frames: How many each clip must have.
        side: The height and width that each frame must have, in pixels.

    Raises:
        DatasetError: If they are of another shape or dtype.
    """
    if not np.issubdtype(clips.dtype, np.floating):
        raise DatasetError(f"clips to check must be floating-point, 0 black and 1 white, got {clips.dtype}")
    if clips.ndim != 5 or clips.shape[1:] != (frames, side, side, 1):
        raise DatasetError(
            f"clips to check must have shape [count, {frames}, {side}, {side}, 1], got {list(clips.shape)}"
        )
    return np.clip(clips, 0, 1)


def frame_shifts(clips: NDArray[np.floating], clearly_better: float) -> NDArray[np.int64]:
    """Return the shift between each frame and the next, out of the nine of at most one pixel along each axis.

    It is the shift after which the frame, moved with black coming in from outside, differs least from the next one in
    the sum of squares. Where it is not clearly better than standing still, or values are no numbers, the shift is 0.

    Args:
        clips: Floating-point ``[count, frames, height, width, channels]``.
        clearly_better: A shift explains a frame when what it leaves unexplained is less than this share of what
            standing still does, at most 1. A digit that really moves leaves nothing, and little when a tokenizer or a
            model has blurred it; noise leaves about as much whatever the shift.

    Returns:
        int64 ``[count, frames − 1, 2]``, the pixels moved down and to the right, −1, 0 or 1.
    """
    before, after = clips[:, :-1], clips[:, 1:]
    height, width = clips.shape[2:4]
    padded = np.pad(before, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)))
    # Standing still comes first, so that it wins where another shift is only as good.
    shifts = sorted(itertools.product((-1, 0, 1), repeat=2), key=lambda shift: shift != (0, 0))
    errors = np.stack(
        [
            np.square(after - padded[:, :, 1 - down : 1 - down + height, 1 - right : 1 - right + width]).sum((2, 3, 4))
            for down, right in shifts
        ]
    )
    best = np.where(errors.min(axis=0) < clearly_better * errors[0], errors.argmin(axis=0), 0)
    return np.array(shifts, np.int64)[best]
