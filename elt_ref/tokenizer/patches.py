"""Pictures ↔ grids of patch vectors. A patch flattens as (row, column, channel)."""

import numpy as np
from jaxtyping import Float

from elt_ref.errors import RequestError


def cut_patches(
    pictures: Float[np.ndarray, "count height width channels"], size: int
) -> Float[np.ndarray, "count rows columns features"]:
    """Cut pictures into a grid of square patches.

    Args:
        pictures: of any range.
        size: side of a patch in pixels; divides height and width.

    Raises:
        RequestError: it does not.
    """
    count, height, width, channels = pictures.shape
    if height % size or width % size:
        raise RequestError(f"patch_size: expected a divisor of the picture's {height}×{width} pixels, got {size}")
    split = pictures.reshape(count, height // size, size, width // size, size, channels)
    return split.swapaxes(2, 3).reshape(count, height // size, width // size, size * size * channels)


def join_patches(
    patches: Float[np.ndarray, "count rows columns features"], size: int
) -> Float[np.ndarray, "count height width channels"]:
    """Put patches back together: the inverse of `cut_patches`."""
    count, rows, columns, features = patches.shape
    split = patches.reshape(count, rows, columns, size, size, features // (size * size))
    return split.swapaxes(2, 3).reshape(count, rows * size, columns * size, -1)
