"""Values of pictures, against files that tests write from the formats' specifications."""

from __future__ import annotations

import numpy as np
import png_format
import pytest
import tiff_format
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tiny_datasets import DatasetError
from tiny_datasets.picture_file import read_picture

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


@pytest.mark.parametrize(
    ("masks", "steps"), [((0x7C00, 0x3E0, 0x1F), (31, 31, 31)), ((0xF800, 0x7E0, 0x1F), (31, 63, 31))]
)
def test_a_bmp_of_16_bits(place, masks, steps):
    levels = np.stack([np.arange(64) % (step + 1) for step in steps], axis=1)
    words = sum(levels[:, i] * (masks[i] & -masks[i]) for i in range(3)).astype("<u2")
    header = np.array([40, 64, 1], "<i4").tobytes() + np.array([1, 16], "<u2").tobytes()
    header += np.array([3, 128, 0, 0, 0, 0, *masks], "<i4").tobytes()
    size = 14 + len(header)
    content = b"BM" + np.array([size + 128, 0, size], "<i4").tobytes() + header + words.tobytes()
    expected = np.floor(levels * 255 / np.array(steps) + 0.5).astype(int)
    assert np.array_equal(read(place, content, (1, 64))[0], expected)
