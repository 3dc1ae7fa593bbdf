"""Write PNG files of every kind from their specification, with the colours that they mean; no Pillow here.

Source: PNG specification, third edition (W3C 2025).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Adam7: first column, first row, column step, row step.
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))

ORIENTED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[:, ::-1].swapaxes(0, 1),
}
"""What turns an array upright, by the EXIF orientation."""


@dataclass(frozen=True)
class Png:
    """Samples of a picture and how to store them."""

    colour_type: int
    bits: int
    samples: np.ndarray  # [height, width, channels]
    palette: np.ndarray | None = None  # [colours, 3]
    transparent: np.ndarray | None = None  # a colour, or an opacity for each entry of the palette
    interlaced: bool = False
    filters: int = 0

    def header(self, height, width):
        return struct.pack(">IIBBBBB", width, height, self.bits, self.colour_type, 0, 0, self.interlaced)

    def colour_chunks(self):
        chunks = []
        if self.palette is not None:
            chunks.append((b"PLTE", self.palette.astype(np.uint8).tobytes()))
        if self.transparent is not None:
            dtype = np.uint8 if self.colour_type == 3 else ">u2"
            chunks.append((b"tRNS", self.transparent.astype(dtype).tobytes()))
        return chunks

    def data(self):
        rows = bytearray()
        places = PASSES if self.interlaced else ((0, 0, 1, 1),)
        for column, row, right, down in places:
            part = self.samples[row::down, column::right]
            if part.size:
                rows += filtered(
                    packed(part, self.bits), max(1, CHANNELS[self.colour_type] * self.bits // 8), self.filters
                )
        return zlib.compress(bytes(rows))

    def file(self, *more, data=None):
        height, width = self.samples.shape[:2]
        data = self.data() if data is None else data
        return file_of(
            (b"IHDR", self.header(height, width)),
            *self.colour_chunks(),
            *more,
            (b"IDAT", data),
            (b"IEND", b""),
        )

    def rgba(self):
        """Colours and opacity in [0, 1], exact as fractions of whole numbers: (float64 [height, width, 4])."""
        whole = 2**self.bits - 1
        if self.colour_type == 3:
            opacity = np.full(len(self.palette), 255.0)
            if self.transparent is not None:
                opacity[: len(self.transparent)] = self.transparent
            index = self.samples[..., 0]
            return np.concatenate([self.palette[index], opacity[index][..., None]], axis=2) / 255
        colours = self.samples[..., :3] if self.colour_type in (2, 6) else self.samples[..., :1]
        opacity = np.ones(self.samples.shape[:2])
        if self.colour_type in (4, 6):
            opacity = self.samples[..., -1] / whole
        elif self.transparent is not None:
            opacity = 1.0 - (colours == self.transparent).all(axis=2)
        colours = np.broadcast_to(colours, (*colours.shape[:2], 3)) / whole
        return np.concatenate([colours, opacity[..., None]], axis=2)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def file_of(*chunks):
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in chunks)


def packed(samples, bits):
    """Rows of bytes, big end first."""
    rows = samples.reshape(len(samples), -1)
    if bits == 16:
        return rows.astype(">u2").view(np.uint8).reshape(len(rows), -1)
    bit = rows[..., None] >> np.arange(bits)[::-1] & 1
    return np.packbits(bit.reshape(len(rows), -1).astype(np.uint8), axis=1)


def filtered(rows, pixel, number):
    """Every row behind its filter's number; `number` 5 takes all filters in turn."""
    result, above = bytearray(), np.zeros(rows.shape[1], int)
    for index, row in enumerate(rows.astype(int)):
        kind = index % 5 if number == 5 else number
        left = np.concatenate([np.zeros(pixel, int), row])[: len(row)]
        corner = np.concatenate([np.zeros(pixel, int), above])[: len(row)]
        guess = left + above - corner
        distances = np.abs(np.stack([guess - left, guess - above, guess - corner]))
        paeth = np.choose(distances.argmin(axis=0), [left, above, corner])
        predicted = (np.zeros(len(row), int), left, above, (left + above) // 2, paeth)[kind]
        result += bytes([kind]) + ((row - predicted) % 256).astype(np.uint8).tobytes()
        above = row
    return bytes(result)


@st.composite
def pngs(draw, shape=None, kinds=None):
    """A PNG of any colour type, depth, transparency, filter and interlacing."""
    colour_type, bits = draw(
        st.sampled_from(kinds or [(kind, bits) for kind, depths in DEPTHS.items() for bits in depths])
    )
    shape = shape or (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    palette, greatest = None, 2**bits - 1
    if colour_type == 3:
        palette = draw(hnp.arrays(np.uint8, (draw(st.integers(1, 2**bits)), 3)))
        greatest = len(palette) - 1
    levels = st.sampled_from([0, 1, greatest // 2, max(greatest - 1, 0), greatest]) | st.integers(0, greatest)
    samples = draw(
        hnp.arrays(np.int64, (*shape, CHANNELS[colour_type]), elements=levels.map(lambda v: min(v, greatest)))
    )
    transparent = None
    if colour_type == 3 and draw(st.booleans()):
        transparent = draw(hnp.arrays(np.uint8, draw(st.integers(1, len(palette)))))
    if colour_type in (0, 2) and draw(st.booleans()):
        row, column = draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1))
        transparent = samples[row, column]
    return Png(colour_type, bits, samples, palette, transparent, draw(st.booleans()), draw(st.integers(0, 5)))


def on_black(rgba):
    """uint8 [height, width, 3], rounded once."""
    return np.floor(rgba[..., :3] * rgba[..., 3:] * 255 + 0.5 + 1e-9).astype(int)
