"""Compose the frames of an animated file on its canvas, as the formats' specifications say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    Pixels: TypeAlias = NDArray[Any]
    """Straight RGBA, uint8 or uint16 ``[height, width, 4]``; the greatest value of the dtype is white and opaque."""


class Frame(NamedTuple):
    """One picture of an animated file, with its place on the canvas."""

    left: int
    top: int
    width: int
    height: int
    over: bool
    """Whether transparent pixels show the canvas below; otherwise they replace it."""
    disposal: Literal["keep", "clear", "previous"]
    """State of the frame's area before the next frame: as it is, transparent, or as it was before this frame."""
    decode: Callable[[], Pixels]


class Animation(NamedTuple):
    """An animated file, not decoded yet."""

    width: int
    height: int
    frames: Sequence[Frame]
    """All inside the canvas."""


def composed(animation: Animation) -> Iterator[Pixels]:
    """Yield the canvas at each frame, which the caller must not keep: the next frame changes it.

    The canvas begins transparent. A first frame that is to be undone leaves it so.
    """
    canvas = None
    for frame in animation.frames:
        pixels = frame.decode()
        if canvas is None:
            canvas = np.zeros((animation.height, animation.width, 4), pixels.dtype)
        area = canvas[frame.top : frame.top + frame.height, frame.left : frame.left + frame.width]
        before = area.copy() if frame.disposal == "previous" else None
        area[...] = _over(pixels, area) if frame.over else pixels
        yield canvas
        if frame.disposal == "clear":
            area[...] = 0
        elif before is not None:
            area[...] = before


def _over(pixels: Pixels, below: Pixels) -> Pixels:
    """Return pixels laid over others, rounded: a = a₁ + a₂ (1 − a₁), c = (c₁ a₁ + c₂ a₂ (1 − a₁)) / a."""
    whole = np.iinfo(pixels.dtype).max
    alpha = pixels[..., 3]
    result = np.where((alpha == 0)[..., None], below, pixels)
    mixed = (alpha > 0) & (alpha < whole)
    if mixed.any():
        above, under = pixels[mixed].astype(np.float64), below[mixed].astype(np.float64)
        share = above[:, 3:] / whole
        rest = under[:, 3:] / whole * (1 - share)
        colours = (above[:, :3] * share + under[:, :3] * rest) / (share + rest)
        result[mixed] = np.floor(np.concatenate([colours, (share + rest) * whole], axis=1) + 0.5)
    return result


def on_black(pixels: Pixels) -> NDArray[np.uint8]:
    """Return pixels in proportion to their opacity, rounded once to 8 bits.

    Args:
        pixels: As `Pixels`.

    Returns:
        uint8 ``[height, width, 3]``, 255 white.
    """
    whole = int(np.iinfo(pixels.dtype).max)
    colours = np.empty((*pixels.shape[:2], 3), np.uint8)
    alpha = pixels[..., 3].astype(np.uint16 if whole == 255 else np.int64)
    for channel in range(3):  # one at a time, for the memory
        product = pixels[..., channel] * alpha
        if whole == 255:  # division by 255 that rounds, without a division
            product += 128
            colours[..., channel] = (product + (product >> 8)) >> 8
        else:
            colours[..., channel] = (2 * 255 * product + whole**2) // (2 * whole**2)
    return colours
