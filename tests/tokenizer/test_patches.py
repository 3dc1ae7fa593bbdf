import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elt_ref.errors import RequestError
from elt_ref.tokenizer import cut_patches, join_patches, patch_sides

sides = st.integers(1, 3)
cuts = st.integers(2, 3).flatmap(lambda axes: st.tuples(*[st.lists(sides, min_size=axes, max_size=axes)] * 2))
"""Grid and sizes of patches, of pictures and of clips."""


def numbered(count, grid, sizes, channels):
    """Return samples in which all values differ."""
    shape = (count, *(places * size for places, size in zip(grid, sizes, strict=True)), channels)
    return np.arange(math.prod(shape), dtype=np.float32).reshape(shape)


@given(st.integers(1, 3), cuts, st.integers(1, 3))
@settings(deadline=None)
def test_join_is_the_inverse_of_cut(count, cut, channels):
    grid, sizes = cut
    samples = numbered(count, grid, sizes, channels)
    patches = cut_patches(samples, sizes)
    assert patches.shape == (count, *grid, math.prod(sizes) * channels)
    np.testing.assert_array_equal(join_patches(patches, sizes), samples)
    np.testing.assert_array_equal(cut_patches(join_patches(patches, sizes), sizes), patches)


def test_a_patch_flattens_as_row_column_channel():
    # The pixel at (row, column, channel) holds the number "row column channel".
    row, column, channel = np.indices((4, 4, 2)).astype(float)
    patches = cut_patches((100 * row + 10 * column + channel)[None], (2, 2))
    assert patches[0, 0, 0].tolist() == [0, 1, 10, 11, 100, 101, 110, 111]
    assert patches[0, 0, 1].tolist() == [20, 21, 30, 31, 120, 121, 130, 131], "the second patch is to the right"
    assert patches[0, 1, 0].tolist() == [200, 201, 210, 211, 300, 301, 310, 311], "the second row of patches is below"


@given(*[st.tuples(sides, sides, sides)] * 2, st.integers(1, 2))
@settings(deadline=None)
def test_tubelets_lie_and_flatten_as_written_out(grid, sizes, channels):
    """Frame, row, column: of the tubelets among one another, and of the pixels within, the channel last."""
    clip = numbered(1, grid, sizes, channels)
    flat = cut_patches(clip, sizes).reshape(math.prod(grid), -1)
    token = 0
    for t in range(grid[0]):
        for h in range(grid[1]):
            for w in range(grid[2]):
                within = itertools.product(*map(range, sizes), range(channels))
                written = [
                    clip[0, t * sizes[0] + frame, h * sizes[1] + row, w * sizes[2] + column, channel]
                    for frame, row, column, channel in within
                ]
                assert flat[token].tolist() == written
                token += 1


@given(st.integers(1, 3), *[st.tuples(sides, sides)] * 2, st.integers(1, 2))
@settings(deadline=None)
def test_a_picture_is_a_clip_of_one_frame(count, grid, sizes, channels):
    pictures = numbered(count, grid, sizes, channels)
    clips = pictures[:, None]
    patches = cut_patches(pictures, sizes)
    np.testing.assert_array_equal(cut_patches(clips, (1, *sizes)), patches[:, None])
    np.testing.assert_array_equal(join_patches(patches[:, None], (1, *sizes)), clips)


def test_sides_of_patches_of_pictures_and_of_clips():
    assert patch_sides(np.zeros((1, 4, 6, 1)), patch_frames=1, patch_size=2) == (2, 2)
    assert patch_sides(np.zeros((1, 4, 4, 6, 1)), patch_frames=3, patch_size=2) == (3, 2, 2)
    with pytest.raises(RequestError, match="patch_frames: expected 1 for pictures, which have no frames, got 2"):
        patch_sides(np.zeros((1, 4, 6, 1)), patch_frames=2, patch_size=2)


@pytest.mark.parametrize(
    ("shape", "sizes", "expected"),
    [
        ((8, 9), (4, 4), "patch_size: expected a divisor of the 9 columns of the data, got 4"),
        ((9, 8), (4, 4), "patch_size: expected a divisor of the 9 rows of the data, got 4"),
        ((2, 4), (4, 4), "patch_size: expected a divisor of the 2 rows of the data, got 4"),
        ((4, 9, 8), (2, 4, 4), "patch_size: expected a divisor of the 9 rows of the data, got 4"),
        ((3, 8, 8), (2, 4, 4), "patch_frames: expected a divisor of the 3 frames of the data, got 2"),
        ((1, 8, 8), (2, 4, 4), "patch_frames: expected a divisor of the 1 frames of the data, got 2"),
    ],
)
def test_patches_divide_the_samples(shape, sizes, expected):
    with pytest.raises(RequestError, match=f"^{expected}$"):
        cut_patches(np.zeros((1, *shape, 1)), sizes)
