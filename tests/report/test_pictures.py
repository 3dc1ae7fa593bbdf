import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from elt_ref.errors import RequestError
from elt_ref.report.pictures import (
    CLEAR,
    GAP,
    WHITE,
    check_pictures,
    check_pictures_by_loops,
    enlarge,
    png,
    scale_to,
    sheet,
    to_pixels,
)

sizes = st.integers(1, 6)
batches = st.tuples(sizes, sizes, sizes, st.sampled_from([1, 3])).flatmap(
    lambda shape: arrays.arrays(np.float64, shape, elements=st.floats(0, 1))
)


@given(batches, st.integers(1, 7))
def test_enlarging_repeats_pixels_and_makes_no_new_ones(pictures, scale):
    small = to_pixels(pictures)
    large = enlarge(small, scale)
    assert large.shape == (small.shape[0], small.shape[1] * scale, small.shape[2] * scale, 4)
    for row in range(scale):
        for column in range(scale):
            np.testing.assert_array_equal(large[:, row::scale, column::scale], small)


@given(batches, st.integers(1, 4), st.integers(1, 3), st.sampled_from([WHITE, CLEAR]))
def test_a_sheet_holds_every_picture_at_its_place_and_background_elsewhere(pictures, columns, scale, background):
    pixels = sheet(pictures, columns, scale, background)
    elsewhere = np.ones(pixels.shape[:2], dtype=bool)
    height, width = pictures.shape[1] * scale, pictures.shape[2] * scale
    for place, picture in enumerate(pictures):
        top = GAP + place // columns * (height + GAP)
        left = GAP + place % columns * (width + GAP)
        window = np.s_[top : top + height, left : left + width]
        np.testing.assert_array_equal(pixels[window], enlarge(to_pixels(picture), scale))
        elsewhere[window] = False
    assert (pixels[elsewhere] == background).all()


def test_pixels_are_rounded_not_cut():
    grey = np.array([0.0, 0.4999 / 255, 0.5001 / 255, 0.5, 254.6 / 255, 1.0]).reshape(1, 6, 1)
    assert to_pixels(grey)[0, :, 0].tolist() == [0, 0, 1, 128, 255, 255]


def test_grey_becomes_equal_channels_and_colour_stays():
    assert to_pixels(np.array([[[0.2]]])).tolist() == [[[51, 51, 51, 255]]]
    assert to_pixels(np.array([[[0.0, 0.2, 1.0]]])).tolist() == [[[0, 51, 255, 255]]]


def test_pixels_survive_the_png():
    pixels = np.random.default_rng(1).integers(0, 256, (5, 7, 4), dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png(pixels)))), pixels)
    assert png(pixels) == png(pixels.copy())


@pytest.mark.parametrize(
    ("shape", "scale"), [((8, 8), 8), ((28, 28), 2), ((64, 64), 1), ((65, 65), 1), ((200, 90), 1), ((12, 48), 2)]
)
def test_scale_is_whole_and_stays_within(shape, scale):
    assert scale_to(64, np.zeros((1, *shape, 1))) == scale


@pytest.mark.parametrize(
    ("pictures", "words"),
    [
        (np.zeros((8, 8, 1)), r"expected pictures of 4 axes .*got the shape \(8, 8, 1\)"),
        (np.zeros((1, 8, 8, 2)), "1 or 3 channels"),
        (np.zeros((0, 8, 8, 1)), "got the shape"),
        (np.full((1, 8, 8, 1), 1.5), r"expected values in \[0, 1\], got 1.5 to 1.5"),
        (np.full((1, 8, 8, 1), -0.1), r"expected values in \[0, 1\]"),
        (np.full((1, 8, 8, 1), np.nan), "got nan to nan"),
        (np.zeros((1, 8, 8, 1), dtype=np.uint8), "floating-point values .* got uint8"),
    ],
)
def test_what_is_no_picture_is_refused(pictures, words):
    with pytest.raises(RequestError, match=rf"^sample: .*{words}"):
        check_pictures("sample", pictures)


def test_masked_pixels_are_allowed_only_where_asked_for():
    check_pictures("kept", np.full((1, 8, 8, 1), np.nan), masked=True)
    with pytest.raises(RequestError, match="got 0 to 2"):
        check_pictures("kept", np.array([np.nan, 0.0, 2.0, 1.0]).reshape(1, 2, 2, 1), masked=True)


def test_models_must_share_loops_and_shapes(pictures):
    assert check_pictures_by_loops(pictures) == tuple(range(1, 9))
    other = {"ilsd": pictures["ilsd"], "vanilla": {1: pictures["vanilla"][1]}}
    with pytest.raises(RequestError, match=r"pictures\['vanilla'\]: expected the loops \[1, 2.*got \[1\]"):
        check_pictures_by_loops(other)
    other = {"ilsd": pictures["ilsd"], "vanilla": {**pictures["vanilla"], 3: np.zeros((10, 4, 4, 1))}}
    with pytest.raises(RequestError, match=r"pictures\['vanilla'\]\[3\]: expected the shape \(10, 8, 8, 1\)"):
        check_pictures_by_loops(other)
    with pytest.raises(RequestError, match="at least one loop count"):
        check_pictures_by_loops({})
