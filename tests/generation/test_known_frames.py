"""Frame prediction: which frames are known, the start that they make, and that a decoding keeps it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import make_config, random_labels, random_parameters

from elt_ref.errors import RequestError
from elt_ref.generation import known_start, parse_frames, sample

MASK = 99


@st.composite
def starts(draw):
    """Draw tokens of clips, and which whole tubelets are known: any but all of them."""
    tubelets, size = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    grid = (tubelets, draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    tokens = np.random.default_rng(draw(st.integers(0, 99))).integers(5, size=(draw(st.integers(1, 3)), *grid))
    whole = draw(st.lists(st.booleans(), min_size=tubelets, max_size=tubelets).filter(lambda known: not all(known)))
    return tokens, np.array(whole), size


@given(starts())
def test_a_start_is_the_tokens_of_known_frames_and_the_mask_elsewhere(drawn):
    tokens, whole, size = drawn
    start = known_start(tokens, np.repeat(whole, size), mask_token=MASK)
    written = [
        [int(clip[t, h, w]) if whole[t] else MASK for t, h, w in np.ndindex(*tokens.shape[1:])] for clip in tokens
    ]
    assert start.tolist() == written


@given(starts(), st.integers(0, 99), st.integers(1, 4), st.sampled_from([1.0, 0.0, 2.5]))
@settings(max_examples=20)
def test_a_decoding_from_known_frames_never_changes_them(drawn, seed, loops, guidance):
    tokens, whole, size = drawn
    config = make_config(grid=tokens.shape[1:], sampling={"steps": 3, "guidance_scale": guidance})
    start = known_start(tokens, np.repeat(whole, size), mask_token=config.model.mask_token)
    labels = random_labels(config, len(tokens), seed)
    found = sample(random_parameters(config), config, labels, seed=seed, loops=loops, start=start).samples
    found = found.reshape(tokens.shape)
    np.testing.assert_array_equal(found[:, whole], tokens[:, whole])
    assert (found < config.model.codebook_size).all(), "something is masked still"


def test_what_is_generated_follows_from_what_is_given():
    config = make_config(grid=(2, 2, 2))
    labels, known = np.zeros(1, int), np.array([True, False])
    tokens = np.zeros((1, 2, 2, 2), int)
    results = set()
    for code in range(config.model.codebook_size):
        start = known_start(tokens + code, known, mask_token=config.model.mask_token)
        found = sample(random_parameters(config), config, labels, seed=1, start=start).samples
        results.add(tuple(found[0, 4:]))
    assert len(results) > 1, "the known frames do not count"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", [0]), ("0-1", [0, 1]), ("0-1,6-7", [0, 1, 6, 7]), ("3,1-2,2", [1, 2, 3]), ("7-7", [7])],
)
def test_frames_as_typed(text, expected):
    assert np.flatnonzero(parse_frames(text, 8)).tolist() == expected


@pytest.mark.parametrize("text", ["", ",", "1-", "-1", "a", "0-1-2", "2-1", "0 1", "1.5", "0,", "²", "9" * 5000])
def test_frames_that_are_none(text):
    with pytest.raises(RequestError, match=r"^given: expected frames such as 0-1 or 0-1,6-7, got '[^\n]*'$"):
        parse_frames(text, 8)


def test_frames_that_a_clip_does_not_have():
    with pytest.raises(RequestError, match=r"^given: expected a clip's frames, 0…3, got 4$"):
        parse_frames("0-4", 4)
    with pytest.raises(RequestError, match="got 999999999"):
        parse_frames("0,999999999", 4)


def test_starts_that_are_refused():
    tokens = np.zeros((2, 2, 3, 3), int)
    with pytest.raises(RequestError, match=r"^given: expected whole tubelets of 2 frames, such as 2-3, got 3 alone$"):
        known_start(tokens, np.array([True, True, False, True]), mask_token=MASK)
    with pytest.raises(RequestError, match=r"such as 0-2, got 0, 2 alone$"):
        known_start(tokens, np.array([True, False, True, False, False, False]), mask_token=MASK)
    with pytest.raises(RequestError, match=r"^given: expected some of the 4 frames to be left to generate, got all"):
        known_start(tokens, np.ones(4, bool), mask_token=MASK)
    with pytest.raises(RequestError, match=r"expected a multiple of the 2 tubelets of a clip, got 3 frames"):
        known_start(tokens, np.zeros(3, bool), mask_token=MASK)
    with pytest.raises(RequestError, match=r"expected clips, with tokens \[count, frames, rows, columns\], got \[2, 3"):
        known_start(tokens[:, 0], np.zeros(3, bool), mask_token=MASK)
