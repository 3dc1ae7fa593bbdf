"""The eight motions, and the rule that finds them in a clip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tiny_datasets.moving_digits.shifts import check_clips, frame_shifts

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAMES = 8
"""Of every clip."""

SIDE = 16
"""Height and width of every frame, in pixels; twice those of a digit."""

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
"""The pixels that each motion first moves down and to the right, clockwise; a motion is an index into it."""

BESIDE_WALL = 0.9
"""The share of a frame's squared intensities that must be in the half beside a wall for the digit to turn there.

All of them are when the digit touches the wall; some may have been blurred into the other half.
"""

CLEARLY_BETTER = 0.5
"""Of `frame_shifts`: strict, for a digit may turn, and what is nearly a step would let others pass as turns."""


def find_motions(clips: NDArray[np.floating]) -> NDArray[np.int64]:
    """Tell which motion each clip begins with, where all its frames move as a bouncing digit does.

    Every frame is the one before, shifted by at most one pixel along each axis. Along each axis the speed never
    changes, and the direction only where the digit is in the half of the frame beside the wall that it moved towards.
    Values beyond 0 and 1 are taken for 0 and 1, as a screen shows them.

    Args:
        clips: Floating-point ``[count, 8, 16, 16, 1]``, 0 black and 1 white.

    Returns:
        int64 ``[count]``, indices into `DIRECTIONS`; −1 where the frames do not move so.

    Raises:
        DatasetError: If the clips are of another shape or dtype.
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
    """Tell whether each frame's digit is beside the wall that a step of −1 or 1 along the axis moves towards.

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
