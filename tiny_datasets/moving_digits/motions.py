"""The four motions, and the rule that finds them in a clip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tiny_datasets.moving_digits.shifts import check_clips, frame_shifts

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAMES = 4
"""Of every clip."""

SIDE = 12
"""Height and width of every frame, in pixels."""

DIRECTIONS = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}
"""The pixels that each motion moves down and to the right from one frame to the next; a motion is an index into it."""

CLEARLY_BETTER = 1.0
"""Of `frame_shifts`: any better than standing still will do, for a small model draws its frames roughly. Of clips of
noise 1 in 150 passes, of those whose frames are shuffled 1 in 30 at most."""


def find_motions(clips: NDArray[np.floating]) -> NDArray[np.int64]:
    """Tell which motion each clip shows: every frame is the one before, shifted by one pixel in the same direction.

    Values beyond 0 and 1 are taken for 0 and 1, as a screen shows them.

    Args:
        clips: Floating-point ``[count, 4, 12, 12, 1]``, 0 black and 1 white.

    Returns:
        int64 ``[count]``, indices into `DIRECTIONS`; −1 where the frames do not move so.

    Raises:
        DatasetError: If the clips are of another shape or dtype.
    """
    shifts = frame_shifts(check_clips(clips, FRAMES, SIDE), CLEARLY_BETTER)
    motions = np.full(len(clips), -1, np.int64)
    for motion, direction in enumerate(DIRECTIONS.values()):
        motions[(shifts == direction).all(axis=(1, 2))] = motion
    return motions
