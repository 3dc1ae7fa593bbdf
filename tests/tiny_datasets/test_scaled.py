from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_datasets import DatasetError, PictureDataset, load, scaled


@given(st.integers(1, 255))
def test_black_is_0_white_is_1_and_brighter_is_greater(white):
    intensities = scaled(np.arange(white + 1, dtype=np.uint8).reshape(-1, 1, 1, 1), white).ravel()
    assert intensities.dtype == np.float32
    assert intensities[0] == 0
    assert intensities[-1] == 1
    assert np.all(np.diff(intensities) > 0)


@given(st.integers(1, 255))
def test_no_value_is_lost(white):
    values = np.arange(white + 1, dtype=np.uint8)
    assert np.array_equal(np.round(scaled(values, white) * white), values)


def test_digits_keep_their_shape():
    digits = load("digits")
    assert isinstance(digits, PictureDataset)
    assert scaled(digits.test.examples, digits.white).shape == (360, 8, 8, 1)


def test_clips_keep_their_shape():
    assert scaled(np.full((2, 4, 6, 5, 3), 7, np.uint8), 14).shape == (2, 4, 6, 5, 3)


def test_no_pictures_are_fine():
    assert scaled(np.zeros((0, 8, 8, 1), np.uint8), 16).shape == (0, 8, 8, 1)


def test_brighter_than_white_is_an_error():
    with pytest.raises(DatasetError, match="examples must hold values from 0 to white = 16, got 17"):
        scaled(np.array([17], np.uint8), 16)


def test_white_cannot_be_black():
    with pytest.raises(DatasetError, match="white must be at least 1, got 0"):
        scaled(np.array([0], np.uint8), 0)
