"""Frames of animated files, against a compositor in these tests, over files written from the specifications."""

from __future__ import annotations

import animations
import numpy as np
import png_format
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from PIL import Image
from png_format import ORIENTED

from tiny_datasets import DatasetError
from tiny_datasets.clip_file import read_clip
from tiny_datasets.picture_file import read_picture


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("frames") / "clip"


def check(place, content, shape, expected, tolerance):
    """Every frame is as expected, and a file of several is not taken for a picture."""
    place.write_bytes(content)
    frames = read_clip(place, len(expected), *shape, colour=True)
    assert np.abs(frames - expected).max() <= tolerance
    try:
        picture = read_picture(place, *shape, colour=True)
    except DatasetError as error:
        assert "clip must be one picture, got a file of" in str(error)  # noqa: PT017
    else:
        assert len(expected) == 1
        assert np.array_equal(picture, frames[0])


def tolerance(steps):
    """Half a level where nothing is blended; a level more for each rounded blend."""
    blended = sum(step.over and bool(((step.pixels[..., 3] % 1) > 0).any()) for step in steps)
    return 0.5 + 1e-9 + blended


@given(animations.gifs(transparent=True))
@settings(max_examples=50)
def test_every_frame_of_a_gif(place, drawn):
    content, shape, steps, background = drawn
    if background is not None:
        return  # the next test
    expected = animations.shown(shape, steps)
    check(place, content, shape, expected, 0)


@given(animations.gifs(transparent=False))
@settings(max_examples=50)
def test_a_gif_that_shows_its_background_is_refused_unless_it_is_black(place, drawn):
    """By the specification a canvas without transparent colours has the background's colour; browsers show none."""
    content, shape, steps, background = drawn
    clear, coloured = animations.shown(shape, steps), animations.shown(shape, steps, background)
    try:
        check(place, content, shape, clear, 0)
    except DatasetError as error:
        event("refused")
        assert "clip must cover its canvas, or have a black background or a transparent colour" in str(error)  # noqa: PT017
        opaque = animations.shown(shape, steps, (1, 1, 1, 1))
        assert (opaque != clear).any()
    else:
        assert np.array_equal(clear, coloured)


@given(animations.apngs())
@settings(max_examples=50)
def test_every_frame_of_an_animated_png(place, drawn):
    content, shape, steps = drawn
    check(place, content, shape, animations.shown(shape, steps), tolerance(steps))


@given(animations.apngs(), st.integers(1, 8), st.booleans())
def test_an_animated_png_is_turned_wherever_its_orientation_stands(place, drawn, orientation, last):
    content, shape, steps = drawn
    exif = Image.Exif()
    exif[0x0112] = orientation
    start = len(content) - 12 if last else content.index(b"acTL") - 4
    content = content[:start] + png_format.chunk(b"eXIf", exif.tobytes()[6:]) + content[start:]
    expected = np.stack([ORIENTED[orientation](frame) for frame in animations.shown(shape, steps)])
    check(place, content, expected.shape[1:3], expected, tolerance(steps))


@given(animations.webps())
@settings(max_examples=50)
def test_every_frame_of_a_webp(place, drawn):
    content, shape, steps = drawn
    expected = animations.shown(shape, steps)
    check(place, content, shape, expected, tolerance(steps))
