"""Frames of animated files, against a compositor in these tests, over files written from the specifications."""

from __future__ import annotations

import animations
import numpy as np
import pytest
from hypothesis import event, given, settings

from tiny_datasets import DatasetError
from tiny_datasets.clip_file import read_clip
from tiny_datasets.picture_file import read_picture


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("frames") / "clip"


def check(place, content, shape, expected, tolerance):
    """Every frame is as expected, and a picture is the first of them."""
    place.write_bytes(content)
    frames = read_clip(place, len(expected), *shape, colour=True)
    assert np.abs(frames - expected).max() <= tolerance
    return read_picture(place, *shape, colour=True)


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
    first = check(place, content, shape, expected, 0)
    assert np.array_equal(first, expected[0])


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


@given(animations.webps())
@settings(max_examples=50)
def test_every_frame_of_a_webp(place, drawn):
    content, shape, steps = drawn
    expected = animations.shown(shape, steps)
    first = check(place, content, shape, expected, tolerance(steps))
    assert np.abs(first - expected[0]).max() <= 0.5 + 1e-9
