import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elt_ref.errors import RequestError
from elt_ref.tokenizer import cut_patches, join_patches


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
@settings(deadline=None)
def test_join_is_the_inverse_of_cut(count, rows, columns, size, channels):
    pictures = np.arange(count * rows * size * columns * size * channels, dtype=np.float32)
    pictures = pictures.reshape(count, rows * size, columns * size, channels)
    patches = cut_patches(pictures, size)
    assert patches.shape == (count, rows, columns, size * size * channels)
    np.testing.assert_array_equal(join_patches(patches, size), pictures)
    np.testing.assert_array_equal(cut_patches(join_patches(patches, size), size), patches)


def test_a_patch_flattens_as_row_column_channel():
    # The pixel at (row, column, channel) holds the number "row column channel".
    row, column, channel = np.indices((4, 4, 2)).astype(float)
    patches = cut_patches((100 * row + 10 * column + channel)[None], 2)
    assert patches[0, 0, 0].tolist() == [0, 1, 10, 11, 100, 101, 110, 111]
    assert patches[0, 0, 1].tolist() == [20, 21, 30, 31, 120, 121, 130, 131], "the second patch is to the right"
    assert patches[0, 1, 0].tolist() == [200, 201, 210, 211, 300, 301, 310, 311], "the second row of patches is below"


@pytest.mark.parametrize(("height", "width"), [(8, 9), (9, 8), (2, 4)])
def test_the_patch_size_divides_the_picture(height, width):
    with pytest.raises(
        RequestError, match=f"patch_size: expected a divisor of the picture's {height}×{width} .* got 4"
    ):
        cut_patches(np.zeros((1, height, width, 1)), 4)
