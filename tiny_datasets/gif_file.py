"""Read GIF files, still and animated. Pillow unpacks each picture; the frames are composed in this package.

Source: CompuServe, Graphics Interchange Format, version 89a (1990).
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from PIL import Image

from tiny_datasets.composition import Animation, Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tiny_datasets.composition import Pixels

_EXTENSION, _PICTURE, _TRAILER, _CONTROL, _TEXT = 0x21, 0x2C, 0x3B, 0xF9, 0x01
_DISPOSALS: tuple[Literal["keep", "clear", "previous"], ...] = ("keep", "keep", "clear", "previous")


class GifFile(NamedTuple):
    """A GIF file, not decoded yet."""

    animation: Animation
    background: tuple[int, int, int] | None
    """The colour that the canvas has by the specification, if no frame has a transparent colour.

    Web browsers show such a canvas as transparent. In files with a transparent colour other viewers do, too.
    """


class _Reader:
    """The bytes of a file, read in order."""

    def __init__(self, content: bytes) -> None:
        self._content, self._place = content, 0

    def take(self, count: int) -> bytes:
        piece = self._content[self._place : self._place + count]
        if len(piece) < count:
            raise ValueError("the file ends early")
        self._place += count
        return piece

    def byte(self) -> int:
        return self.take(1)[0]

    def blocks(self) -> bytes:
        """Take a chain of sub-blocks, as stored."""
        parts = []
        while size := self.byte():
            parts += [bytes([size]), self.take(size)]
        return b"".join((*parts, b"\0"))


def read_gif(content: bytes) -> GifFile:  # noqa: C901  the blocks in their order
    """Return the frames of a GIF file.

    Raises:
        ValueError: If the file contradicts the specification.
    """
    reader = _Reader(content)
    if reader.take(6) not in (b"GIF87a", b"GIF89a"):
        raise ValueError("no signature of a GIF")
    width, height, packed, background = struct.unpack("<HHBBx", reader.take(7))
    shared = _colour_table(reader, packed)
    frames, some_transparent = [], False
    disposal, transparent = 0, None
    while (kind := reader.byte()) != _TRAILER:
        if kind == _EXTENSION:
            label = reader.byte()
            blocks = reader.blocks()
            if label == _CONTROL:
                flags, key = struct.unpack_from("<xBxxB", blocks)
                disposal, transparent = flags >> 2 & 7, key if flags & 1 else None
            elif label == _TEXT:
                disposal, transparent = 0, None  # a control block serves one picture or text
            continue
        if kind != _PICTURE:
            raise ValueError(f"a block of unknown kind 0x{kind:02X}")
        left, top, wide, tall, flags = struct.unpack("<HHHHB", reader.take(9))
        table = _colour_table(reader, flags) if flags & 0x80 else shared
        data = bytes([reader.byte()]) + reader.blocks()
        number = len(frames)
        if not (0 < wide <= width - left and 0 < tall <= height - top):
            raise ValueError(f"frame {number} reaches out of the canvas")
        if disposal >= len(_DISPOSALS):
            raise ValueError(f"frame {number} with the undefined disposal {disposal}")
        if not len(table):
            raise ValueError(f"frame {number} has no colour table")
        single = struct.pack("<6sHHBxxBHHHHB", b"GIF89a", wide, tall, 0xF7, _PICTURE, 0, 0, wide, tall, flags & 0x40)
        single = single[:13] + bytes(range(256)) * 3 + single[13:] + data + bytes([_TRAILER])

        def decode(single: bytes = single, table: NDArray[np.uint8] = table, key: int | None = transparent) -> Pixels:
            return _looked_up(_indices(single), table, key)

        frames.append(Frame(left, top, wide, tall, over=True, disposal=_DISPOSALS[disposal], decode=decode))
        some_transparent |= transparent is not None
        disposal, transparent = 0, None
    if not frames:
        raise ValueError("no frames")
    colour = None
    if not some_transparent and background < len(shared):
        colour = (int(shared[background][0]), int(shared[background][1]), int(shared[background][2]))
    return GifFile(Animation(width, height, frames), colour)


def _colour_table(reader: _Reader, flags: int) -> NDArray[np.uint8]:
    """Take a colour table, ``[colours, 3]``, empty if the flags announce none."""
    colours = 2 << (flags & 7) if flags & 0x80 else 0
    return np.frombuffer(reader.take(3 * colours), np.uint8).reshape(-1, 3)


def _indices(single: bytes) -> NDArray[np.uint8]:
    # The ordered colour table of `single` makes Pillow read the indices as levels of grey.
    with Image.open(io.BytesIO(single), formats=("GIF",)) as file:
        return np.asarray(file)


def _looked_up(indices: NDArray[np.uint8], table: NDArray[np.uint8], transparent: int | None) -> Pixels:
    visible = np.ones(indices.shape, bool) if transparent is None else indices != transparent
    greatest = int(indices.max(where=visible, initial=0))
    if greatest >= len(table):
        raise ValueError(f"colour {greatest} of a table of {len(table)}")
    colours = np.concatenate([table, np.zeros((256 - len(table), 3), np.uint8)])[indices]
    return np.concatenate([colours, np.where(visible, 255, 0).astype(np.uint8)[..., None]], axis=2)
