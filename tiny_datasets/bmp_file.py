"""Read BMP files of colour tables and of 16 bits a pixel.

Pillow unpacks. It also cuts 5 bits a channel, overlooks their opacity and makes missing colours black: not so here.

Source: Microsoft, Windows GDI, Bitmap Header Types (BITMAPINFOHEADER, BITMAPV4HEADER).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tiny_datasets.composition import on_black
from tiny_datasets.raw_samples import decoded_as, raw_mode

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CORE_HEADER, _ALPHA_HEADER = 12, 56
"""Size of the header with other fields than all later ones, and the least size with a mask of opacity."""
_MASKS = 3
"""The compression whose pixels are laid out by masks."""
_INDICES = {1: "P;1", 4: "P;4", 8: "P"}
"""Pillow's names for the layouts of indices, by bits."""


def read_bmp(file: Image.Image, content: bytes) -> Image.Image | None:
    """Return an open BMP on black, or None if it has 24 or 32 bits a pixel, which Pillow reads as they are.

    Args:
        file: The open file, not decoded yet.
        content: The same file.

    Raises:
        ValueError: If a pixel has no colour in the table, or the opacity has another place than the highest bit.
    """
    (header,) = struct.unpack_from("<I", content, 14)
    bits, compression, colours = struct.unpack_from("<10xH", content, 14)[0], 0, 0
    if header > _CORE_HEADER:
        bits, compression, colours = struct.unpack_from("<14xHI12xI", content, 14)
    if bits in _INDICES:
        layout = _INDICES[bits] if compression == 0 else raw_mode(file)
        entry, place = 3 if header == _CORE_HEADER else 4, 14 + header
        table = np.frombuffer(content[place : place + entry * (colours or 2**bits)], np.uint8)
        table = table[: len(table) // entry * entry].reshape(-1, entry)[:, 2::-1]
        return Image.fromarray(_looked_up(decoded_as(content, "P", layout), table))
    if bits == 16:
        alpha = struct.unpack_from("<52xI", content, 14)[0] if compression == _MASKS and header >= _ALPHA_HEADER else 0
        return _of_16_bits(file, content, alpha)
    return None


def _looked_up(indices: NDArray[np.uint8], table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if (greatest := int(indices.max())) >= len(table):
        raise ValueError(f"colour {greatest} of a table of {len(table)}")
    return table[indices]


def _of_16_bits(file: Image.Image, content: bytes, alpha: int) -> Image.Image:
    """Return a picture whose 5 or 6 bits a channel are rounded; a bit of opacity may stand above them."""
    raw = raw_mode(file)
    if alpha and (alpha != 0x8000 or raw != "BGR;15"):
        raise ValueError(f"opacity with the mask 0x{alpha:X}")
    pixels = decoded_as(content, "RGBA", "BGRA;15") if alpha else decoded_as(content, file.mode, raw)
    steps = np.array([31, 63 if raw == "BGR;16" else 31, 31])
    # The least level that Pillow's cut makes this value of.
    levels = -(-pixels[..., :3].astype(np.int64) * steps // 255)
    rounded = ((levels * 510 + steps) // (2 * steps)).astype(np.uint8)
    return Image.fromarray(on_black(np.concatenate([rounded, pixels[..., 3:]], axis=2)) if alpha else rounded)
