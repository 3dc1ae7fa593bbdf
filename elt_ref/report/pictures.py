"""Float pictures to pixels, enlarged by repeating pixels and never smoothed."""

import io
import math
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8
from PIL import Image

from elt_ref.errors import RequestError

GAP = 4
"""Pixels between the pictures of a sheet."""

Colour: TypeAlias = tuple[int, int, int, int]
WHITE: Colour = (255, 255, 255, 255)
CLEAR: Colour = (255, 255, 255, 0)
FRAME: Colour = (230, 159, 0, 255)
FRAME_WIDTH = 2
"""Frame of a highlighted picture, drawn in the gap around it."""

PicturesByLoops: TypeAlias = Mapping[str, Mapping[int, np.ndarray]]
"""Pictures [count, height, width, channels], or clips [count, frames, height, width, channels], per model name and loop
count, made from the same noise."""


def check_pictures(where: str, pictures: np.ndarray, rank: int = 4, *, masked: bool = False) -> None:
    """Check pictures [..., height, width, channels]: values in [0, 1], channels 1 (grey) or 3 (RGB).

    Args:
        where: Name of the argument, for the error.
        pictures: The array.
        rank: Expected number of axes.
        masked: Whether NaN is allowed, for pixels that are still masked.

    Raises:
        RequestError: If the shape or the values are wrong.
    """
    if pictures.ndim != rank or pictures.shape[-1] not in (1, 3) or 0 in pictures.shape:
        axes = ", ".join(["..."] * (rank > 3) + ["height", "width", "1 or 3 channels"])
        raise RequestError(f"{where}: expected pictures of {rank} axes [{axes}], got the shape {pictures.shape}")
    if not np.issubdtype(pictures.dtype, np.floating):
        raise RequestError(f"{where}: expected floating-point values in [0, 1], got {pictures.dtype}")
    known = pictures[~np.isnan(pictures)] if masked else pictures
    if known.size and not (known.min() >= 0 and known.max() <= 1):
        raise RequestError(f"{where}: expected values in [0, 1], got {known.min():g} to {known.max():g}")


def check_pictures_by_loops(pictures: PicturesByLoops) -> tuple[int, ...]:
    """Check that all models have pictures, or clips, of one shape at the same loop counts.

    Args:
        pictures: Pictures or clips per model and loop count.

    Returns:
        The loop counts, increasing.

    Raises:
        RequestError: If there are no pictures, or shapes, values or loop counts are wrong.
    """
    if not pictures or not all(pictures.values()):
        raise RequestError("pictures: expected at least one loop count per model, got none")
    loops = tuple(sorted(next(iter(pictures.values()))))
    shape = next(iter(next(iter(pictures.values())).values())).shape
    for name, by_loops in pictures.items():
        if tuple(sorted(by_loops)) != loops:
            raise RequestError(f"pictures[{name!r}]: expected the loops {list(loops)}, got {sorted(by_loops)}")
        for count, batch in by_loops.items():
            where = f"pictures[{name!r}][{count}]"
            check_pictures(where, batch, rank=5 if len(shape) == 5 else 4)
            if batch.shape != shape:
                raise RequestError(f"{where}: expected the shape {shape} of the first pictures, got {batch.shape}")
    return loops


def to_pixels(
    pictures: Float[np.ndarray, "*batch height width channels"],
) -> UInt8[np.ndarray, "*batch height width 4"]:
    """Return the RGBA pixels of pictures in [0, 1]; one channel is grey, three are RGB."""
    channels = (*pictures.shape[:-1], 3)
    pixels = np.full((*channels[:-1], 4), 255, dtype=np.uint8)
    pixels[..., :3] = np.rint(np.broadcast_to(pictures, channels) * 255)
    return pixels


def enlarge(
    pixels: Shaped[np.ndarray, "*batch height width channels"], scale: int
) -> Shaped[np.ndarray, "*batch large_height large_width channels"]:
    """Return pixels enlarged by a whole `scale`: each becomes a square of that side (nearest neighbour)."""
    return pixels.repeat(scale, axis=-3).repeat(scale, axis=-2)


def scale_to(pixels: int, pictures: Float[np.ndarray, "*batch height width channels"]) -> int:
    """Return the largest whole enlargement, at least 1, that covers no more than a square of side `pixels`.

    The area counts, not the longer side, so a clip with its frames side by side stays as legible as a picture.
    """
    height, width, _ = pictures.shape[-3:]
    return max(1, math.isqrt(pixels**2 // (height * width)))


def sheet(
    pictures: Float[np.ndarray, "count height width channels"],
    columns: int,
    scale: int,
    background: Colour = WHITE,
    framed: Bool[np.ndarray, " count"] | None = None,
) -> UInt8[np.ndarray, "sheet_height sheet_width 4"]:
    """Lay pictures out in rows, left to right, `GAP` pixels apart and from the edges.

    Args:
        pictures: Pictures in [0, 1].
        columns: Pictures in a row, at least 1.
        scale: Whole enlargement, at least 1.
        background: RGBA colour between the pictures and in empty places.
        framed: Which pictures get a thin frame; none by default.

    Returns:
        RGBA pixels, rows·(height·scale + GAP) + GAP high and columns·(width·scale + GAP) + GAP wide.
    """
    tiles = enlarge(to_pixels(pictures), scale)
    count, height, width, _ = tiles.shape
    rows = math.ceil(count / columns)
    pixels = np.empty((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 4), dtype=np.uint8)
    pixels[:] = background
    for place, tile in enumerate(tiles):
        row, column = divmod(place, columns)
        top, left = GAP + row * (height + GAP), GAP + column * (width + GAP)
        if framed is not None and framed[place]:
            rim = FRAME_WIDTH
            pixels[top - rim : top + height + rim, left - rim : left + width + rim] = FRAME
        pixels[top : top + height, left : left + width] = tile
    return pixels


def png(pixels: UInt8[np.ndarray, "height width channels"]) -> bytes:
    """Return a PNG file of RGB or RGBA pixels; the same pixels give the same bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()
