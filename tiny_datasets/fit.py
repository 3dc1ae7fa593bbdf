"""Bring a picture to the size and the colours of a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

if TYPE_CHECKING:
    from numpy.typing import NDArray


def fit_picture(picture: Image.Image, height: int, width: int, *, colour: bool) -> NDArray[np.uint8]:
    """Crop the largest central part with the requested aspect ratio, and shrink it to the requested size.

    The filter is BOX: a new pixel is the mean of the old ones it covers, as in the shipped digits. It skips no detail
    and does not overshoot at edges. LANCZOS would: its halos are two new pixels wide, too much for so small a picture.

    Args:
        picture: A picture with 8 bits a channel and no transparency.
        height: Height of the result in pixels.
        width: Width of the result in pixels.
        colour: Whether the result has three channels (RGB) or one (grey).

    Returns:
        uint8 ``[height, width, channels]``, 0 black and 255 white.
    """
    small = ImageOps.fit(picture.convert("RGB" if colour else "L"), (width, height), method=Image.Resampling.BOX)
    return np.asarray(small, np.uint8).reshape(height, width, 3 if colour else 1)


def fit_array(examples: NDArray[np.uint8], height: int, width: int, *, colour: bool) -> NDArray[np.uint8]:
    """Bring every picture of an array, or every frame of its clips, to the requested size and colours.

    Args:
        examples: uint8 ``[…, height, width, channels]``, channels 1 or 3, 0 black and 255 white.
        height: Height of the result in pixels.
        width: Width of the result in pixels.
        colour: Whether the result has three channels (RGB) or one (grey).

    Returns:
        uint8 ``[…, height, width, channels]``; the examples themselves if nothing changes.
    """
    wanted = (height, width, 3 if colour else 1)
    if examples.shape[-3:] == wanted:
        return examples
    pictures = examples.reshape(-1, *examples.shape[-3:])
    pictures = pictures[..., 0] if pictures.shape[-1] == 1 else pictures
    fitted = [fit_picture(Image.fromarray(picture), height, width, colour=colour) for picture in pictures]
    return np.stack(fitted).reshape(*examples.shape[:-3], *wanted)
