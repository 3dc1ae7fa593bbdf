"""Read PNG files, still and animated, with every bit depth and transparency.

Pillow inflates and unfilters. Of 16 bits a channel it keeps the high byte, and it composes animations by itself; both
happen here instead.

Source: PNG specification, third edition (W3C 2025), sections 5, 11.3.1 (tRNS) and 11.3.6 (animations).
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from tiny_datasets.composition import Animation, Frame
from tiny_datasets.raw_samples import samples_16

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tiny_datasets.composition import Pixels

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _PALETTE = 0, 3
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column, first row, column step and row step of each pass of an interlaced file."""
_PIECE = 2**20


class _Header(NamedTuple):
    width: int
    height: int
    bits: int
    colour_type: int
    interlaced: int
    transparent: bytes | None
    """Content of the chunk tRNS."""


def needs_care(content: bytes) -> bool:
    """Return whether Pillow alone would misread a still PNG: 16 bits a channel, or one colour that is transparent."""
    header = _header(content)
    return header.bits == 16 or (header.transparent is not None and header.colour_type != _PALETTE)


def exif(content: bytes) -> bytes:
    """Return the EXIF metadata of a file, wherever they stand; empty if there are none."""
    return next((data for kind, data in _chunks(content) if kind == b"eXIf"), b"")


def check_whole(content: bytes) -> None:
    """Refuse a still PNG whose pixels Pillow would fill up with black: rows that miss, colours that its table lacks.

    Raises:
        ValueError: If there are too few rows, or a colour beyond the table.
    """
    header, palette, inflate = _header(content), None, zlib.decompressobj()
    wanted, found = _raw_size(header), 0
    for kind, data in _chunks(content):
        if kind == b"PLTE":
            palette = data
        if kind == b"IDAT":
            rest = data
            while rest and not inflate.eof and found < wanted:
                found += len(inflate.decompress(rest, _PIECE))
                rest = inflate.unconsumed_tail
    if found < wanted:
        raise ValueError(f"only {found} bytes of pixels where {wanted} are due")
    if header.colour_type == _PALETTE:
        if palette is None:
            raise ValueError("no colour table")
        with Image.open(io.BytesIO(content), formats=("PNG",)) as file:
            greatest = int(np.asarray(file).max())
        if greatest >= len(palette) // 3:
            raise ValueError(f"colour {greatest} of a table of {len(palette) // 3}")


def _raw_size(header: _Header) -> int:
    """Return the number of bytes of all rows, each behind its filter's number."""
    places = _PASSES if header.interlaced else ((0, 0, 1, 1),)
    bits = header.bits * _CHANNELS[header.colour_type]
    size = 0
    for left, top, right, down in places:
        width, height = -(-(header.width - left) // right), -(-(header.height - top) // down)
        if width > 0:
            size += max(height, 0) * (1 + (width * bits + 7) // 8)
    return size


def read_png(content: bytes) -> Pixels:
    """Return a still PNG, or the picture of an animated one for viewers that cannot play it.

    Raises:
        ValueError: If the file is damaged; Pillow raises other errors too.
    """
    header = _header(content)
    with Image.open(io.BytesIO(content), formats=("PNG",)) as file:
        file.seek(0)
        samples = samples_16(file, content) if header.bits == 16 else None
        if samples is None and (header.transparent is None or header.colour_type == _PALETTE):
            return np.asarray(file.convert("RGBA"))
        if samples is None:
            # A bit depth below 8 is scaled; so is the transparent value below.
            samples = np.asarray(file.convert("L") if header.colour_type == _GREY else file)
    return _with_alpha(samples.reshape(*samples.shape[:2], -1), header)


def _with_alpha(samples: NDArray[Any], header: _Header) -> Pixels:
    whole = np.iinfo(samples.dtype).max
    if samples.shape[2] in (2, 4):
        colours, alpha = samples[..., :-1], samples[..., -1:]
    else:
        colours, alpha = samples, np.full((*samples.shape[:2], 1), whole, samples.dtype)
        if header.transparent is not None:
            key = np.frombuffer(header.transparent, ">u2").astype(np.int64)
            if len(key) != samples.shape[2]:
                raise ValueError(f"a chunk tRNS of {len(header.transparent)} bytes")
            key = (key & (2**header.bits - 1)) * (whole // (2**header.bits - 1))
            alpha = np.where((colours == key).all(axis=2, keepdims=True), 0, alpha).astype(samples.dtype)
    return np.concatenate([np.broadcast_to(colours, (*colours.shape[:2], 3)), alpha], axis=2)


def read_animation(content: bytes) -> Animation | None:  # noqa: C901, PLR0912  the chunks in their order
    """Return an animated PNG, or None if the file is a still one.

    Raises:
        ValueError: If the animation contradicts the specification.
    """
    shared, controls, streams = [], [], []
    promised, sequence, seen_data = None, 0, False
    for kind, data in _chunks(content):
        if kind == b"acTL" and not seen_data:
            promised = struct.unpack(">II", data)[0]
        if kind in (b"fcTL", b"fdAT"):
            if struct.unpack_from(">I", data)[0] != sequence:
                raise ValueError("frames out of order")
            sequence += 1
        if kind == b"fcTL":
            controls.append(struct.unpack(">xxxxIIIIxxxxBB", data))
            streams.append([])
        elif kind == b"fdAT":
            if not streams or not seen_data:
                raise ValueError("data of a frame before its control chunk")
            streams[-1].append(data[4:])
        elif kind == b"IDAT":
            seen_data = True
            if streams:
                streams[-1].append(data)
        elif kind not in (b"acTL", b"IEND") and not seen_data:
            shared.append((kind, data))
    if promised is None:
        return None
    if promised != len(controls) or not all(streams):
        raise ValueError(f"{len(controls)} frames where {promised} are promised, or a frame without data")
    header = _header(content)
    frames = []
    for number, (control, stream) in enumerate(zip(controls, streams, strict=True)):
        width, height, left, top, disposal, blend = control
        if not (0 < width <= header.width - left and 0 < height <= header.height - top):
            raise ValueError(f"frame {number} reaches out of the canvas")
        if disposal > 2 or blend > 1:
            raise ValueError(f"frame {number} with disposal {disposal} and blend {blend}")
        still = _still(width, height, shared, b"".join(stream))
        undone = ("keep", "clear", "previous")[disposal]
        frames.append(Frame(left, top, width, height, bool(blend), undone, lambda still=still: _frame(still)))
    return Animation(header.width, header.height, frames)


def _frame(still: bytes) -> Pixels:
    check_whole(still)
    return read_png(still)


def _still(width: int, height: int, shared: list[tuple[bytes, bytes]], data: bytes) -> bytes:
    """Return a frame as a PNG of its own."""
    chunks = [(kind, struct.pack(">II", width, height) + old[8:] if kind == b"IHDR" else old) for kind, old in shared]
    parts = [_SIGNATURE]
    for kind, body in (*chunks, (b"IDAT", data), (b"IEND", b"")):
        parts += [struct.pack(">I", len(body)), kind, body, struct.pack(">I", zlib.crc32(kind + body))]
    return b"".join(parts)


def _header(content: bytes) -> _Header:
    header, transparent = None, None
    for kind, data in _chunks(content):
        if kind == b"IHDR":
            header = struct.unpack(">IIBBxxB", data)
        elif kind == b"tRNS":
            transparent = data
        elif kind == b"IDAT":
            break
    if header is None:
        raise ValueError("no header")
    return _Header(*header, transparent)


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and the data of each chunk, up to IEND."""
    if not content.startswith(_SIGNATURE):
        raise ValueError("no signature of a PNG")
    place = len(_SIGNATURE)
    kind = b""
    while kind != b"IEND":
        if len(content) < place + 12:
            raise ValueError("the file ends early")
        length, kind = struct.unpack_from(">I4s", content, place)
        data = content[place + 8 : place + 8 + length]
        if len(content) < place + 12 + length:
            raise ValueError("the file ends early")
        (checksum,) = struct.unpack_from(">I", content, place + 8 + length)
        if zlib.crc32(kind + data) != checksum:
            raise ValueError(f"a wrong checksum in chunk {kind!r}")
        yield kind, data
        place += 12 + length
