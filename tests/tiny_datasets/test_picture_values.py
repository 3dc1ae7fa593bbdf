"""Values of pictures, against files that tests write from the formats' specifications."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import numpy as np
import png_format
import pytest
import tiff_format
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from png_format import ORIENTED

from tiny_datasets import DatasetError
from tiny_datasets.picture_file import read_picture


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("values") / "picture"


def read(place, content, shape):
    """A picture in colour at its own size."""
    place.write_bytes(content)
    return read_picture(place, *shape[:2], colour=True).astype(int)


@given(png_format.pngs())
@settings(max_examples=50)
def test_every_png(place, png):
    expected = png_format.on_black(png.rgba())
    assert np.array_equal(read(place, png.file(), expected.shape), expected)


def test_a_grey_png_of_16_bits_with_a_transparent_value(place):
    samples = np.array([[[40000], [65535]]])
    png = png_format.Png(0, 16, samples, transparent=np.array([40000]))
    assert read(place, png.file(), (1, 2))[0, :, 0].tolist() == [0, 255]


@given(png_format.pngs(), st.integers(1, 8))
def test_every_png_with_an_orientation(place, png, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    expected = ORIENTED[orientation](png_format.on_black(png.rgba()))
    content = png.file((b"eXIf", exif.tobytes()[6:]))
    assert np.array_equal(read(place, content, expected.shape), expected)


@given(tiff_format.tiffs())
@settings(max_examples=50)
def test_every_tiff(place, tiff):
    expected = ORIENTED[tiff.orientation](tiff.on_black())
    try:
        found = read(place, tiff.file(), expected.shape)
    except DatasetError as error:
        # Pillow lacks some layouts in one order of bytes or bits.
        assert any(word in str(error) for word in ("cannot identify image file", "unknown raw mode"))  # noqa: PT017
        assert tiff.big or tiff.reversed_bits
        return
    assert np.array_equal(found, expected)


@given(tiff_format.unclear_tiffs())
@settings(max_examples=50)
def test_a_tiff_without_a_defined_white_is_refused(place, tiff):
    with pytest.raises(DatasetError, match=r"must (have values that define black and white|be a whole picture), got"):
        read(place, tiff.file(), tiff.samples.shape)


@given(png_format.pngs(), st.data())
def test_a_png_that_lacks_rows_is_refused(place, png, data):
    whole = zlib.decompress(png.data())
    kept = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(DatasetError, match=rf"cannot be read: only {kept} bytes of pixels where {len(whole)} are due"):
        read(place, png.file(data=zlib.compress(whole[:kept])), png.samples.shape)


@given(png_format.pngs(kinds=[(3, bits) for bits in (1, 2, 4, 8)]), st.data())
def test_a_png_that_lacks_colours_is_refused(place, png, data):
    greatest = int(png.samples.max())
    kept = data.draw(st.integers(0, greatest))
    poor = replace(png, palette=png.palette[:kept] if kept else None, transparent=None)
    expected = f"colour {greatest} of a table of {kept}" if kept else "no colour table"
    with pytest.raises(DatasetError, match=f"must be a whole picture, got one that cannot be read: {expected}"):
        read(place, poor.file(), png.samples.shape)


@given(tiff_format.tiffs())
def test_a_tiff_that_lacks_strips_is_refused(place, tiff):
    with pytest.raises(DatasetError, match=r"must be a whole picture, got one that cannot be read: "):
        read(place, replace(tiff, missing=1).file(), tiff.samples.shape)


@pytest.mark.parametrize(("tag", "kind"), [(254, 1), (254, 4), (254, 5), (255, 2)])
def test_a_tiff_that_begins_with_a_copy_or_a_mask_is_refused(place, tag, kind):
    """The whole picture stands on a later page, or nowhere."""
    tiff = tiff_format.Tiff(1, 8, np.zeros((2, 2, 1), int), more={tag: ("I" if tag == 254 else "H", [kind])})
    with pytest.raises(DatasetError, match="cannot be read: the first page is a reduced copy or a mask of another"):
        read(place, tiff.file(), (2, 2))


@pytest.mark.parametrize("kind", [0, 1, 2, 4])
def test_only_whole_pages_of_a_tiff_count(place, kind):
    first, second = Image.new("L", (4, 4), 70), Image.new("L", (2, 2), 90)
    second.encoderinfo = {"tiffinfo": {254: kind}}  # pyright: ignore[reportAttributeAccessIssue]  as Pillow's manual says
    first.save(place, "TIFF", save_all=True, append_images=[second])
    if kind in (1, 4):
        assert np.unique(read(place, place.read_bytes(), (4, 4))).tolist() == [70]
    else:
        with pytest.raises(DatasetError, match="must be one picture, got a file of 2 frames or pages"):
            read(place, place.read_bytes(), (4, 4))


def bmp(shape, bits, rows, *, header=40, compression=0, colours=0, masks=(), table=b""):
    """A BMP with its lowest row first."""
    if header == 12:
        head = struct.pack("<IHHHH", 12, shape[1], shape[0], 1, bits)
    else:
        head = struct.pack("<IiiHHIIiiII", header, shape[1], shape[0], 1, bits, compression, 0, 0, 0, colours, 0)
        head = (head + struct.pack(f"<{len(masks)}I", *masks)).ljust(header, b"\0")
    body = b"".join(row + b"\0" * (-len(row) % 4) for row in reversed(rows))
    start = 14 + len(head) + len(table)
    return b"BM" + struct.pack("<III", start + len(body), 0, start) + head + table + body


@given(st.data())
def test_every_bmp_with_a_colour_table(place, data):
    bits, header = data.draw(st.sampled_from([1, 4, 8])), data.draw(st.sampled_from([12, 40, 108]))
    colours = 2**bits if header == 12 else data.draw(st.integers(1, 2**bits))
    shape = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 9)))
    table = data.draw(hnp.arrays(np.uint8, (colours, 3)) | st.just(np.repeat(np.arange(colours), 3).reshape(-1, 3)))
    table = data.draw(st.just(table) | st.just(table // max(1, colours - 1) * 255)).astype(np.uint8)
    indices = data.draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, 2**bits - 1)))
    stored = b"".join(bytes(colour[::-1]) + b"\0" * (header > 12) for colour in table)
    rows = [row.tobytes() for row in png_format.packed(indices[..., None], bits)]
    content = bmp(shape, bits, rows, header=header, colours=colours if header > 12 else 0, table=stored)
    if (greatest := indices.max()) < colours:
        assert np.array_equal(read(place, content, shape), table[indices])
    else:
        with pytest.raises(DatasetError, match=f"cannot be read: colour {greatest} of a table of {colours}$"):
            read(place, content, shape)


@pytest.mark.parametrize("alpha", [0, 0x8000])
def test_a_bmp_of_16_bits_with_opacity(place, alpha):
    words = [0x7FFF, 0xFFFF, 0x8000, 0xFC00]
    content = bmp(
        (1, 4), 16, [struct.pack("<4H", *words)], header=108, compression=3, masks=(0x7C00, 0x3E0, 0x1F, alpha)
    )
    colours = np.array([[255] * 3, [255] * 3, [0] * 3, [255, 0, 0]])
    opacity = [[word >> 15 if alpha else 1] for word in words]
    assert np.array_equal(read(place, content, (1, 4))[0], colours * opacity)


@pytest.mark.parametrize("masks", [(0xF800, 0x7E0, 0x1F, 0x8000), (0x7C00, 0x3E0, 0x1F, 0xFF0000)])
def test_opacity_of_another_place_is_refused(place, masks):
    content = bmp((1, 2), 16, [bytes(4)], header=108, compression=3, masks=masks)
    with pytest.raises(DatasetError, match=f"must be a whole picture, got .*: opacity with the mask 0x{masks[3]:X}$"):
        read(place, content, (1, 2))


@pytest.mark.parametrize(
    ("masks", "steps"), [((0x7C00, 0x3E0, 0x1F), (31, 31, 31)), ((0xF800, 0x7E0, 0x1F), (31, 63, 31))]
)
def test_a_bmp_of_16_bits(place, masks, steps):
    levels = np.stack([np.arange(64) % (step + 1) for step in steps], axis=1)
    words = sum(levels[:, i] * (masks[i] & -masks[i]) for i in range(3)).astype("<u2")
    content = bmp((1, 64), 16, [words.tobytes()], header=52, compression=3, masks=masks)
    expected = np.floor(levels * 255 / np.array(steps) + 0.5).astype(int)
    assert np.array_equal(read(place, content, (1, 64))[0], expected)
