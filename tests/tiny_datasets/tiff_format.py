"""Write TIFF files of many kinds from their specification, with the colours that they mean; no Pillow here.

Source: TIFF, revision 6.0 (Adobe 1992).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
ANY, PREMULTIPLIED, STRAIGHT = 0, 1, 2


@dataclass(frozen=True)
class Tiff:
    """Samples of a picture and how to store them."""

    photometric: int
    bits: int
    samples: np.ndarray  # [height, width, channels], extra samples last
    extra: tuple[int, ...] = ()
    colour_map: np.ndarray | None = None  # [colours, 3], 16 bits
    big: bool = False
    orientation: int = 1
    rows_per_strip: int = 100
    planar: bool = False
    reversed_bits: bool = False
    deflated: bool = False
    sample_format: int = 1
    ink_set: int | None = None
    undeclared: bool = False  # extra samples without the tag that names them
    missing: int = 0  # strips without an offset
    more: dict[int, tuple[str, list[int]]] | None = None  # further tags: a letter of struct, or R for fractions

    def file(self):
        order = ">" if self.big else "<"
        height, width, channels = self.samples.shape
        planes = [self.samples[..., c : c + 1] for c in range(channels)] if self.planar else [self.samples]
        strips = [
            self._strip(plane[first : first + self.rows_per_strip])
            for plane in planes
            for first in range(0, height, self.rows_per_strip)
        ]
        body, offsets = b"", []
        for strip in strips:
            offsets.append(8 + len(body))
            body += strip + b"\0" * (len(strip) % 2)
        tags = {
            256: ("I", [width]),
            257: ("I", [height]),
            258: ("H", [self.bits] * channels),
            259: ("H", [8 if self.deflated else 1]),
            262: ("H", [self.photometric]),
            266: ("H", [2 if self.reversed_bits else 1]),
            273: ("I", offsets[: len(offsets) - self.missing]),
            274: ("H", [self.orientation]),
            277: ("H", [channels]),
            278: ("I", [self.rows_per_strip]),
            279: ("I", [len(strip) for strip in strips]),
            284: ("H", [2 if self.planar else 1]),
            339: ("H", [self.sample_format] * channels),
        }
        if self.extra and not self.undeclared:
            tags[338] = ("H", list(self.extra))
        if self.colour_map is not None:
            tags[320] = ("H", self.colour_map.T.ravel().tolist())
        if self.ink_set is not None:
            tags[332] = ("H", [self.ink_set])
        tags |= self.more or {}
        directory, place = b"", 8 + len(body)
        entries = struct.pack(order + "H", len(tags))
        after = place + 2 + 12 * len(tags) + 4
        for tag, (code, values) in sorted(tags.items()):
            numbers = [number for value in values for number in (value, 1)] if code == "R" else values
            content = struct.pack(f"{order}{len(numbers)}{code.replace('R', 'I')}", *numbers)
            kind = {"B": 1, "H": 3, "I": 4, "R": 5}[code]
            entries += struct.pack(order + "HHI", tag, kind, len(values))
            if len(content) <= 4:
                entries += content.ljust(4, b"\0")
            else:
                entries += struct.pack(order + "I", after + len(directory))
                directory += content + b"\0" * (len(content) % 2)
        start = (b"MM" if self.big else b"II") + struct.pack(order + "HI", 42, place)
        return start + body + entries + struct.pack(order + "I", 0) + directory

    def _strip(self, samples):
        rows = samples.reshape(len(samples), -1)
        if self.bits in (16, 32):
            dtype = np.dtype(f"{'>' if self.big else '<'}u{self.bits // 8}")
            content = rows.astype(dtype).tobytes()
        else:
            bit = rows[..., None] >> np.arange(self.bits)[::-1] & 1
            content = np.packbits(bit.reshape(len(rows), -1).astype(np.uint8), axis=1).tobytes()
        if self.reversed_bits:
            content = np.packbits(np.unpackbits(np.frombuffer(content, np.uint8)).reshape(-1, 8)[:, ::-1]).tobytes()
        return zlib.compress(content) if self.deflated else content

    def on_black(self):
        """uint8 [height, width, 3], rounded once (twice for inks)."""
        whole = 2**self.bits - 1
        colours = {RGB: 3, CMYK: 4}.get(self.photometric, 1)
        values = self.samples[..., :colours] / whole
        if self.photometric == WHITE_IS_ZERO:
            values = 1 - values
        if self.photometric == PALETTE:
            values = rounded(self.colour_map[self.samples[..., 0]] / 65535) / 255
        if self.photometric == CMYK:
            values = 1 - rounded(values) / 255
            values = values[..., :3] * values[..., 3:]
        if self.extra[:1] == (STRAIGHT,):
            values = values * self.samples[..., colours : colours + 1] / whole
        return np.broadcast_to(rounded(values), (*values.shape[:2], 3))


def rounded(values):
    return np.floor(values * 255 + 0.5 + 1e-9).astype(int)


@st.composite
def tiffs(draw):
    """A TIFF whose values have one meaning."""
    photometric, bits, extra = draw(
        st.sampled_from(
            [
                *((WHITE_IS_ZERO, bits, ()) for bits in (1, 2, 4, 8, 16)),
                *((BLACK_IS_ZERO, bits, ()) for bits in (1, 2, 4, 8, 12, 16)),
                *((BLACK_IS_ZERO, 8, (kind,)) for kind in (ANY, PREMULTIPLIED, STRAIGHT)),
                *((RGB, bits, ()) for bits in (8, 16)),
                *((RGB, bits, (kind,)) for bits in (8, 16) for kind in (ANY, PREMULTIPLIED, STRAIGHT)),
                *((RGB, 8, (kind, ANY)) for kind in (ANY, PREMULTIPLIED, STRAIGHT)),
                *((PALETTE, bits, ()) for bits in (1, 2, 4, 8)),
                (PALETTE, 8, (ANY,)),
                (PALETTE, 8, (STRAIGHT,)),
                *((CMYK, bits, ()) for bits in (8, 16)),
                (CMYK, 8, (ANY,)),
            ]
        )
    )
    height, width = draw(st.integers(1, 7)), draw(st.integers(1, 9))
    channels = {RGB: 3, CMYK: 4}.get(photometric, 1) + len(extra)
    whole = 2**bits - 1
    elements = st.sampled_from([0, 1, whole // 2, whole]) | st.integers(0, whole)
    samples = draw(hnp.arrays(np.int64, (height, width, channels), elements=elements))
    if extra[:1] == (PREMULTIPLIED,):
        colours = channels - len(extra)
        samples[..., :colours] = np.minimum(samples[..., :colours], samples[..., colours : colours + 1])
    colour_map = draw(hnp.arrays(np.uint16, (2**bits, 3))).astype(int) if photometric == PALETTE else None
    usual = {CMYK: {336: ("H", [0, whole] * draw(st.sampled_from([1, 4])))}, RGB: {532: ("R", [0, whole] * 3)}}
    plain, deflated = (
        not extra and bits <= 8,
        draw(st.booleans()),
    )  # which comes first, FillOrder or compression, is open
    return Tiff(
        photometric,
        bits,
        samples,
        extra,
        colour_map,
        big=draw(st.booleans()),
        orientation=draw(st.integers(1, 8)),
        rows_per_strip=draw(st.integers(1, 8)),
        planar=plain and channels > 1 and draw(st.booleans()),
        reversed_bits=plain and channels == 1 and not deflated and draw(st.booleans()),
        deflated=deflated,
        more=usual.get(photometric) if draw(st.booleans()) else None,
    )


@st.composite
def unclear_tiffs(draw):
    """A TIFF whose values have no meaning, or several."""
    photometric, bits, extra, options = draw(
        st.sampled_from(
            [
                (BLACK_IS_ZERO, 8, (), {"sample_format": 2}),
                (BLACK_IS_ZERO, 16, (), {"sample_format": 2}),
                *((BLACK_IS_ZERO, 32, (), {"sample_format": kind}) for kind in (1, 2, 3)),
                (WHITE_IS_ZERO, 32, (), {"sample_format": 3}),
                (RGB, 8, (STRAIGHT,), {"undeclared": True}),
                (RGB, 8, (999,), {}),
                (CMYK, 8, (), {"ink_set": 2}),
                (CMYK, 8, (), {"more": {336: ("B", [255, 0])}}),
                (CMYK, 16, (), {"more": {336: ("H", [0, 65535, 0, 65535, 0, 65535, 65535, 0])}}),
                (RGB, 8, (), {"more": {532: ("R", [16, 235] * 3)}}),
                (YCBCR, 8, (), {}),
                (LAB, 8, (), {}),
                (4, 1, (), {}),
                (RGB, 16, (), {"planar": True}),
            ]
        )
    )
    channels = {RGB: 3, YCBCR: 3, LAB: 3, CMYK: 4}.get(photometric, 1) + len(extra)
    samples = draw(hnp.arrays(np.int64, (3, 4, channels), elements=st.integers(0, 2 ** min(bits, 16) - 1)))
    return Tiff(photometric, bits, samples, extra, big=draw(st.booleans()), **options)
