"""Clips in reports: playing, and frame by frame."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from elt_ref.errors import RequestError
from elt_ref.report.clips import animation, draw_animation, draw_contact_sheet, film_strips
from elt_ref.report.pictures import CLEAR, FRAME, GAP, sheet


@pytest.fixture
def clips():
    return np.random.default_rng(0).random((3, 4, 6, 5, 1))


def pages_of(content):
    """Return the frames of an animated picture as RGBA, and how long each is shown."""
    pages, durations = [], []
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.info["loop"] == 0, "it does not begin again for ever"
        for number in range(picture.n_frames):
            picture.seek(number)
            picture.load()
            pages.append(np.array(picture.convert("RGBA")))
            durations.append(picture.info["duration"])
    return pages, durations


@pytest.mark.parametrize("picture_format", ["GIF", "WEBP"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_frame_of_an_animation_is_the_sheet_of_that_frame(picture_format, channels):
    clips = np.random.default_rng(1).integers(0, 4, (3, 4, 6, 5, channels)) / 3
    pages, durations = pages_of(animation(clips, 2, 3, picture_format))
    assert len(pages) == 4
    assert all(160 <= duration <= 170 for duration in durations), "about six frames a second"
    for number, page in enumerate(pages):
        np.testing.assert_array_equal(page, sheet(clips[:, number], 2, 3))


def test_the_same_clips_give_the_same_bytes_and_clear_gaps_stay_clear(clips):
    first, again = (animation(clips, 3, 2, "WEBP", background=CLEAR) for _ in range(2))
    assert first == again
    assert pages_of(first)[0][0][0, 0, 3] == 0


def test_given_frames_are_framed(tmp_path, clips):
    known = np.array([True, False, False, True])
    draw_contact_sheet(tmp_path / "sheet.png", clips, known)
    draw_contact_sheet(tmp_path / "plain.png", clips)
    pixels, plain = (np.array(Image.open(tmp_path / f"{name}.png")) for name in ("sheet", "plain"))
    scale = (pixels.shape[1] - GAP) // 4 - GAP
    for frame in range(4):
        rim = pixels[GAP - 1, GAP + frame * (scale + GAP)]
        assert tuple(rim) == (FRAME[:3] if known[frame] else (255, 255, 255)), f"frame {frame}"
    changed = (pixels != plain).any(axis=-1)
    assert (pixels[changed] == FRAME[:3]).all(), "a frame covers something else than the gap"
    assert (plain[changed] == 255).all()
    draw_animation(tmp_path / "some.webp", clips, 3, known)
    pages, _ = pages_of((tmp_path / "some.webp").read_bytes())
    assert [tuple(page[GAP - 1, GAP]) == FRAME for page in pages] == known.tolist()


def test_a_contact_sheet_has_a_row_a_clip_and_its_frames_from_left_to_right(tmp_path):
    # Frame f of clip c is of brightness (4 c + f) / 12.
    clips = (np.arange(12).reshape(3, 4, 1, 1, 1) / 12) * np.ones((3, 4, 8, 8, 1))
    draw_contact_sheet(tmp_path / "sheet.png", clips)
    pixels = np.array(Image.open(tmp_path / "sheet.png"))
    assert pixels.shape == (3 * (64 + GAP) + GAP, 4 * (64 + GAP) + GAP, 3)
    middles = pixels[GAP + 32 :: 64 + GAP, GAP + 32 :: 64 + GAP, 0]
    assert middles.tolist() == np.rint(np.arange(12).reshape(3, 4) / 12 * 255).tolist()


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.sampled_from([1, 3]))
def test_a_film_strip_holds_every_frame_and_a_grey_line_between(count, frames, height, width, channels):
    clips = np.random.default_rng(0).random((count, frames, height, width, channels)) / 2
    strips = film_strips(clips)
    assert strips.shape == (count, height, frames * (width + 1) - 1, channels)
    for frame in range(frames):
        left = frame * (width + 1)
        np.testing.assert_array_equal(strips[:, :, left : left + width], clips[:, frame])
        assert (strips[:, :, left + width : left + width + 1] == 0.5).all()


@pytest.mark.parametrize("wrong", [np.zeros((3, 6, 5, 1)), np.full((1, 2, 3, 3, 1), 1.5), np.zeros((1, 2, 3, 3, 2))])
def test_what_are_no_clips(tmp_path, wrong):
    for draw in (draw_contact_sheet, lambda path, clips: draw_animation(path.with_suffix(".gif"), clips, 1)):
        with pytest.raises(RequestError, match=r"^clips: expected "):
            draw(tmp_path / "a.png", wrong)
    assert not list(tmp_path.iterdir())


def test_a_place_that_takes_no_file(tmp_path, clips):
    with pytest.raises(RequestError, match="expected a file in a folder that can be written to"):
        draw_animation(tmp_path / "missing" / "a.gif", clips, 1)
