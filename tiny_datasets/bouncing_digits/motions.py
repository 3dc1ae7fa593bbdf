"""The eight motions, and the rule that detects them in a clip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tiny_datasets.moving_digits.shifts import check_clips, frame_shifts

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAMES = 8
"""Frames of every clip."""

SIDE = 16
"""Height and width of every frame in pixels; twice the side of a digit."""

DIRECTIONS = {
    "up": (-1, 0),
    "up right": (-1, 1),
    "right": (0, 1),
    "down right": (1, 1),
    "down": (1, 0),
    "down left": (1, -1),
    "left": (0, -1),
    "up left": (-1, -1),
}
"""First step of each motion in pixels down and to the right, clockwise; a motion is an index into this table."""

BESIDE_WALL = 0.9
"""The share of a frame's squared intensities that must be in the half beside a wall for the digit to turn there.

The share is 1 when the digit touches the wall, unless blur moves some into the other half.
"""

CLEARLY_BETTER = 0.5
"""Argument of `frame_shifts`: strict, because a digit may turn, and a loose threshold would accept false turns."""


def find_motions(clips: NDArray[np.floating]) -> NDArray[np.int64]:
    """Detect the first motion of each clip, if all its frames move like a bouncing digit.

    Every frame is the previous one, shifted by at most one pixel along each axis. Along each axis the speed is
    constant, and the direction changes only while the digit is in the half of the frame beside the wall ahead of it.
    Values beyond 0 and 1 count as 0 and 1, as on a screen.

    Args:
        clips: Floating-point ``[count, 8, 16, 16, 1]``, 0 black and 1 white.

    Returns:
        int64 ``[count]``, indices into `DIRECTIONS`; −1 if the frames move otherwise.

    Raises:
        DatasetError: If the clips have another shape or dtype.
    """
    seen = check_clips(clips, FRAMES, SIDE)
    shifts = frame_shifts(seen, CLEARLY_BETTER)
    steady = (abs(shifts) == abs(shifts[:, :1])).all(axis=(1, 2))
    for axis in (0, 1):
        before, after = shifts[:, :-1, axis], shifts[:, 1:, axis]
        steady &= ((before == after) | _beside_wall(seen[:, 1:-1], axis, before)).all(axis=1)
    motions = np.full(len(clips), -1, np.int64)
    for motion, direction in enumerate(DIRECTIONS.values()):
        motions[steady & (shifts[:, 0] == direction).all(axis=1)] = motion
    return motions


def _beside_wall(frames: NDArray[np.floating], axis: int, step: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether each frame's digit is beside the wall ahead of a step of −1 or 1 along the axis.

    Args:
        frames: ``[count, frames, 16, 16, 1]``.
        axis: 0 for rows, 1 for columns.
        step: ``[count, frames]``, the step into each frame.

    Returns:
        bool ``[count, frames]``.
    """
    along = np.square(frames).sum(axis=(3 - axis, 4))
    near, far = along[..., : SIDE // 2].sum(axis=-1), along[..., SIDE // 2 :].sum(axis=-1)
    return np.where(step < 0, near, far) >= BESIDE_WALL * (near + far)
