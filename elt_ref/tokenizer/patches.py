"""Pictures and clips ↔ grids of patch vectors. The patches of a clip are tubelets, which span frames and pixels.

A patch flattens as (row, column, channel), a tubelet as (frame, row, column, channel): a picture is a clip of one
frame.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from elt_ref.arrays import cut, join
from elt_ref.errors import RequestError

AXES = {"frames": "patch_frames", "rows": "patch_size", "columns": "patch_size"}
"""Axes of a clip, each with the setting that divides it; a picture has the last two."""

Samples = Float[np.ndarray, "count *sides channels"]
"""Pictures [count, height, width, channels], or clips [count, frames, height, width, channels]."""
Patches = Float[np.ndarray, "count *grid features"]


def patch_sides(samples: Samples, *, patch_frames: int, patch_size: int) -> tuple[int, ...]:
    """Return the sides of a patch: (rows, columns) for pictures, (frames, rows, columns) for clips.

    Raises:
        RequestError: `patch_frames` is above 1 for pictures.
    """
    if samples.ndim == 4 and patch_frames != 1:
        raise RequestError(f"patch_frames: expected 1 for pictures, which have no frames, got {patch_frames}")
    return (patch_frames, patch_size, patch_size)[5 - samples.ndim :]


def cut_patches(samples: Samples, sizes: Sequence[int]) -> Patches:
    """Cut pictures or clips into a grid of patches, in C order: (row, column), or (frame, row, column) for clips.

    Args:
        samples: pictures or clips with values of any range.
        sizes: sides of a patch; each must divide its side of a sample.

    Raises:
        RequestError: a side of the patch does not divide its side of a sample.
    """
    sides = samples.shape[1:-1]
    for axis, side, size in zip(list(AXES)[-len(sides) :], sides, sizes, strict=True):
        if side % size:
            raise RequestError(f"{AXES[axis]}: expected a divisor of the {side} {axis} of the data, got {size}")
    pieces = cut(samples, sizes)
    return pieces.reshape(*pieces.shape[: 1 + len(sides)], -1)


def join_patches(patches: Patches, sizes: Sequence[int]) -> Samples:
    """Put patches back together: the inverse of `cut_patches`."""
    return join(patches.reshape(*patches.shape[:-1], *sizes, -1))
