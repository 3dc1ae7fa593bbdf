"""The four motions, and the rule that detects them in a clip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tiny_datasets.moving_digits.shifts import check_clips, frame_shifts

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAMES = 4
"""Frames of every clip."""

SIDE = 12
"""Height and width of every frame, in pixels."""

DIRECTIONS = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}
"""Step of each motion in pixels down and to the right per frame; a motion is an index into this table."""

CLEARLY_BETTER = 1.0
"""Argument of `frame_shifts`: any improvement on standing still counts, because a small model draws roughly. About 1 in
150 clips of noise passes, and at most 1 in 30 clips with shuffled frames."""


def find_motions(clips: NDArray[np.floating]) -> NDArray[np.int64]:
    """Detect the motion of each clip: every frame is the previous one, shifted by one pixel in the same direction.

    Values beyond 0 and 1 count as 0 and 1, as on a screen.

    Args:
        clips: Floating-point ``[count, 4, 12, 12, 1]``, 0 black and 1 white.

    Returns:
        int64 ``[count]``, indices into `DIRECTIONS`; −1 if the frames move otherwise.

    Raises:
        DatasetError: If the clips have another shape or dtype.
    """
    shifts = frame_shifts(check_clips(clips, FRAMES, SIDE), CLEARLY_BETTER)
    motions = np.full(len(clips), -1, np.int64)
    for motion, direction in enumerate(DIRECTIONS.values()):
        motions[(shifts == direction).all(axis=(1, 2))] = motion
    return motions
