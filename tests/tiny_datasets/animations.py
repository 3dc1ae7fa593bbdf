"""Random animated files, written chunk by chunk from their specifications, and the frames that they mean.

No Pillow composes here: only lossless WebP pictures are packed by it. Sources: GIF 89a; PNG, third edition; RFC 9649.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

import numpy as np
import png_format
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

KEEP, CLEAR, PREVIOUS = 0, 1, 2


@dataclass(frozen=True)
class Step:
    """One frame: straight RGBA in [0, 1], its place, blending and disposal."""

    pixels: np.ndarray
    left: int
    top: int
    over: bool
    disposal: int


def shown(shape, steps, background=(0, 0, 0, 0)):
    """The canvas at each frame in premultiplied colours on black, uint8 [frames, height, width, 3].

    Written with premultiplied numbers in float64, unlike the package: C = C₁ + C₂ (1 − a₁).
    """
    empty = np.array(background, float)
    canvas, frames = np.broadcast_to(empty, (*shape, 4)).copy(), []
    for step in steps:
        height, width = step.pixels.shape[:2]
        place = slice(step.top, step.top + height), slice(step.left, step.left + width)
        before, new = canvas.copy(), step.pixels.copy()
        new[..., :3] *= new[..., 3:]
        canvas[place] = new + canvas[place] * (1 - new[..., 3:]) if step.over else new
        frames.append(canvas[..., :3] * 255)
        if step.disposal == CLEAR:
            canvas = canvas.copy()
            canvas[place] = empty
        elif step.disposal == PREVIOUS:
            canvas = before
        else:
            canvas = canvas.copy()
    return np.stack(frames)


@st.composite
def places(draw, shape, even=False):
    """Top, left, height and width of a part of the canvas."""
    height, width = draw(st.integers(1, shape[0])), draw(st.integers(1, shape[1]))
    step = 2 if even else 1
    top, left = draw(st.integers(0, (shape[0] - height) // step)), draw(st.integers(0, (shape[1] - width) // step))
    return step * top, step * left, height, width


shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))


# GIF


def lzw(indices, bits):
    """Codes of one width, by clearing the table in time: a valid, if long, stream."""
    clear, end, width = 1 << bits, (1 << bits) + 1, bits + 1
    codes = []
    for count, index in enumerate(indices):
        if count % max(1, (1 << bits) - 2) == 0:
            codes.append(clear)
        codes.append(int(index))
    number = sum(code << width * place for place, code in enumerate([*codes, end]))
    data = number.to_bytes((len(codes) + 1) * width // 8 + 1, "little")
    return b"".join(bytes([len(part)]) + part for part in (data[i : i + 255] for i in range(0, len(data), 255))) + b"\0"


@st.composite
def gifs(draw, transparent=None):
    """A GIF file, its shape, steps and background (its colour, if the file has no transparent colour)."""
    shape = draw(shapes)
    bits = draw(st.integers(2, 5))
    tables = hnp.arrays(np.uint8, (2**bits, 3))
    shared, background = draw(tables), draw(st.integers(0, 2**bits - 1))
    transparent = draw(st.booleans()) if transparent is None else transparent
    parts = [b"GIF89a", struct.pack("<HHBBB", shape[1], shape[0], 0xF0 | bits - 1, background, 0), shared.tobytes()]
    steps, some = [], False
    for _ in range(draw(st.integers(1, 5))):
        top, left, height, width = draw(places(shape))
        indices = draw(hnp.arrays(np.uint8, (height, width), elements=st.integers(0, 2**bits - 1)))
        local = draw(tables) if draw(st.booleans()) else None
        key = draw(st.none() | st.integers(0, 2**bits - 1)) if transparent else None
        disposal, interlaced = draw(st.integers(0, 3)), draw(st.booleans())
        if key is not None or disposal or draw(st.booleans()):
            flags = disposal << 2 | (key is not None)
            parts.append(struct.pack("<BBBBHBB", 0x21, 0xF9, 4, flags, 5, key or 0, 0))
        packed = interlaced << 6 | (0 if local is None else 0x80 | bits - 1)
        parts.append(struct.pack("<BHHHHB", 0x2C, left, top, width, height, packed))
        parts.append(b"" if local is None else local.tobytes())
        rows = [*range(0, height, 8), *range(4, height, 8), *range(2, height, 4), *range(1, height, 2)]
        stored = indices[rows] if interlaced else indices
        parts.append(bytes([bits]) + lzw(stored.ravel(), bits))
        table = (shared if local is None else local)[indices] / 255
        opacity = np.ones((height, width, 1)) if key is None else (indices != key)[..., None].astype(float)
        some |= key is not None
        steps.append(
            Step(np.concatenate([table, opacity], axis=2), left, top, True, (KEEP, KEEP, CLEAR, PREVIOUS)[disposal])
        )
    colour = None if some else (*(shared[background] / 255), 1.0)
    return b"".join((*parts, b"\x3b")), shape, steps, colour


# PNG


@st.composite
def apngs(draw):
    """An animated PNG, its shape and steps."""
    shape = draw(shapes)
    first = draw(png_format.pngs(shape=shape))
    count, hidden = draw(st.integers(1, 5)), draw(st.booleans())
    control, steps, number = [], [], 0
    for index in range(count):
        top, left, height, width = (0, 0, *shape) if index == 0 and not hidden else draw(places(shape))
        greatest = len(first.palette) - 1 if first.palette is not None else 2**first.bits - 1
        samples = (
            first.samples
            if index == 0 and not hidden
            else draw(hnp.arrays(np.int64, (height, width, first.samples.shape[2]), elements=st.integers(0, greatest)))
        )
        still = png_format.Png(
            first.colour_type, first.bits, samples, first.palette, first.transparent, first.interlaced, first.filters
        )
        disposal, over = draw(st.integers(0, 2)), draw(st.booleans())
        control.append((b"fcTL", struct.pack(">IIIIIHHBB", number, width, height, left, top, 1, 10, disposal, over)))
        number += 1
        data = still.data()
        if index == 0 and not hidden:
            control.append((b"IDAT", data))
        else:
            half = len(data) // 2
            for piece in (data[:half], data[half:]):
                control.append((b"fdAT", struct.pack(">I", number) + piece))
                number += 1
        steps.append(Step(still.rgba(), left, top, over, (KEEP, CLEAR, PREVIOUS)[disposal]))
    lead = [(b"IHDR", first.header(*shape)), (b"acTL", struct.pack(">II", count, 0)), *first.colour_chunks()]
    if hidden:
        lead.append((b"IDAT", first.data()))
    return png_format.file_of(*lead, *control, (b"IEND", b"")), shape, steps


# WebP


def riff(kind, data):
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


@st.composite
def webps(draw):
    """An animated WebP of lossless pictures, its shape and steps."""
    shape = draw(shapes)
    parts, steps = [], []
    levels = st.sampled_from([0, 1, 100, 254, 255])
    for _ in range(draw(st.integers(1, 5))):
        top, left, height, width = draw(places(shape, even=True))
        pixels = draw(hnp.arrays(np.uint8, (height, width, 4), elements=levels))
        if draw(st.booleans()):
            pixels[..., 3] = 255
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "WEBP", lossless=True, exact=True)
        picture = buffer.getvalue()[12:]
        if picture[:4] == b"VP8X":
            picture = picture[18:]
        over, clear = draw(st.booleans()), draw(st.booleans())
        numbers = (left // 2, top // 2, width - 1, height - 1, 40)
        head = b"".join(number.to_bytes(3, "little") for number in numbers) + bytes([clear | (not over) << 1])
        parts.append(riff(b"ANMF", head + picture))
        steps.append(Step(pixels / 255, left, top, over, CLEAR if clear else KEEP))
    sides = b"".join((side - 1).to_bytes(3, "little") for side in (shape[1], shape[0]))
    body = riff(b"VP8X", bytes([0x12, 0, 0, 0]) + sides) + riff(
        b"ANIM", bytes(draw(st.binary(min_size=4, max_size=4))) + b"\0\0"
    )
    body += b"".join(parts)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body, shape, steps
