"""Samples of a picture file in another layout than Pillow reads by itself.

Of 16 bits a channel it keeps the high bytes; a second reading gets the low ones.
"""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OTHER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
"""Byte order in which the low bytes of an order look like the high ones."""


def samples_16(file: Image.Image, content: bytes) -> NDArray[np.uint16]:
    """Return the samples of an open file of 16 bits a channel, as stored.

    Args:
        file: The open file, not decoded yet.
        content: The same file.

    Returns:
        uint16 ``[height, width]`` or ``[height, width, channels]``.

    Raises:
        ValueError: If Pillow describes the pixels in an unknown way.
    """
    raw = raw_mode(file)
    if raw.startswith("I;16"):
        return np.asarray(file).astype(np.uint16)
    if raw == "LA;16B":  # four bytes a pixel, like RGBA of 8 bits
        octets = decoded_as(content, "RGBA", "RGBA").astype(np.uint16)
        return (octets[..., 0::2] << 8 | octets[..., 1::2]).astype(np.uint16)
    layout, _, order = raw.partition(";16")
    # A colour that is stored already multiplied by its opacity stays so.
    mode, layout = ("RGB", "RGBX") if layout == "RGBa" else (file.mode, layout)
    if order not in _OTHER:
        raise ValueError(f"pixels stored as {raw}")
    high, low = (decoded_as(content, mode, f"{layout};16{way}").astype(np.uint16) for way in (order, _OTHER[order]))
    return (high << 8 | low).astype(np.uint16)


def raw_mode(file: Image.Image) -> str:
    """Return Pillow's name for the layout of an open file's pixels."""
    args = _tiles(file)[0].args
    return str(args if isinstance(args, str) else (args or ("",))[0])


def _tiles(file: Image.Image) -> list[ImageFile._Tile]:
    tiles = file.tile if isinstance(file, ImageFile.ImageFile) else []
    if not tiles:
        raise ValueError("no pixels")
    return tiles


def decoded_as(content: bytes, mode: str, raw: str) -> NDArray[np.uint8]:
    """Return a file's pixels, read in a layout that is not Pillow's own choice.

    Args:
        content: The file.
        mode: Mode of the picture to read into.
        raw: Pillow's name for the layout of the pixels in the file.
    """
    with Image.open(io.BytesIO(content), formats=("PNG", "TIFF", "BMP")) as file:
        file._mode = mode  # noqa: SLF001  as Pillow's own plugins do
        tiles = _tiles(file)
        for number, tile in enumerate(tiles):
            args = raw if isinstance(tile.args, str) else (raw, *(tile.args or ("",))[1:])
            tiles[number] = tile._replace(args=args)
        return np.asarray(file)
