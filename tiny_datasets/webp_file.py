"""Read animated WebP files. Pillow decodes each picture; the frames are composed in this package.

Source: RFC 9649, WebP Image Format, section 2.7.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tiny_datasets.composition import Animation, Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tiny_datasets.composition import Pixels

_ANIMATED, _ALPHA = 0x02, 0x10
_DISPOSE, _REPLACE = 0x01, 0x02


def read_animation(content: bytes) -> Animation | None:
    """Return an animated WebP, or None if the file is a still one.

    The background colour is a hint in the specification. Here as in the format's own library it is transparent.

    Raises:
        ValueError: If the animation contradicts the specification.
    """
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP":
        raise ValueError("no signature of a WebP")
    end = 8 + struct.unpack_from("<I", content, 4)[0]
    if len(content) < end:
        raise ValueError("the file ends early")
    chunks = list(_chunks(content[12:end]))
    if not chunks or chunks[0][0] != b"VP8X" or not chunks[0][1][0] & _ANIMATED:
        return None
    width, height = (_number(chunks[0][1], place) + 1 for place in (4, 7))
    frames = []
    for kind, data in chunks:
        if kind != b"ANMF":
            continue
        left, top, wide, tall = (_number(data, place) for place in (0, 3, 6, 9))
        left, top, wide, tall = 2 * left, 2 * top, wide + 1, tall + 1
        if wide > width - left or tall > height - top:
            raise ValueError(f"frame {len(frames)} reaches out of the canvas")
        flags, still = data[15], _still(wide, tall, data[16:])
        over, disposal = not flags & _REPLACE, "clear" if flags & _DISPOSE else "keep"
        frames.append(Frame(left, top, wide, tall, over, disposal, lambda still=still: _decoded(still)))
    return Animation(width, height, frames)


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place < len(content):
        kind, length = struct.unpack_from("<4sI", content, place)
        data = content[place + 8 : place + 8 + length]
        if len(data) < length:
            raise ValueError("a chunk ends early")
        yield kind, data
        place += 8 + length + length % 2


def _number(data: bytes, place: int) -> int:
    """Return a number of three bytes."""
    if len(data) < place + 3:
        raise ValueError("a chunk ends early")
    return int.from_bytes(data[place : place + 3], "little")


def _still(width: int, height: int, chunks: bytes) -> bytes:
    """Return a frame as a WebP of its own."""
    kinds = [kind for kind, _ in _chunks(chunks)]
    if not {b"VP8 ", b"VP8L"} & set(kinds):
        raise ValueError("a frame without a picture")
    if b"ALPH" in kinds:
        sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        chunks = struct.pack("<4sIB3x", b"VP8X", 10, _ALPHA) + sides + chunks
    return struct.pack("<4sI4s", b"RIFF", 4 + len(chunks), b"WEBP") + chunks


def _decoded(still: bytes) -> Pixels:
    with Image.open(io.BytesIO(still), formats=("WEBP",)) as file:
        return np.asarray(file.convert("RGBA"))
