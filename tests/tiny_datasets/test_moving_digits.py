from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny_datasets
from tiny_datasets import ClipDataset, DatasetError, Motions, PictureDataset, scaled
from tiny_datasets.bouncing_digits import DIRECTIONS as EIGHT
from tiny_datasets.bouncing_digits import find_motions as find_bouncing
from tiny_datasets.moving_digits import DIRECTIONS as FOUR
from tiny_datasets.moving_digits import find_motions as find_moving
from tiny_datasets.moving_digits.shifts import frame_shifts

SETS = ("moving_digits", "bouncing_digits")
SHAPES = {"moving_digits": (4, 12, 12, 1), "bouncing_digits": (8, 16, 16, 1)}


def loaded(name) -> ClipDataset:
    dataset = tiny_datasets.load(name)
    assert isinstance(dataset, ClipDataset)
    return dataset


@pytest.fixture(scope="module")
def clip_sets() -> dict[str, ClipDataset]:
    return {name: loaded(name) for name in SETS}


@pytest.fixture(scope="module")
def digits() -> PictureDataset:
    dataset = tiny_datasets.load("digits")
    assert isinstance(dataset, PictureDataset)
    return dataset


@pytest.fixture(params=SETS)
def clip_set(request, clip_sets) -> ClipDataset:
    return clip_sets[request.param]


def motions_of(clip_set) -> Motions:
    assert clip_set.motions is not None
    return clip_set.motions


def find(clip_set, clips) -> np.ndarray:
    assert clip_set.find_motions is not None
    return clip_set.find_motions(clips)


def test_clips_of_the_digits(clip_set):
    for split, count in ((clip_set.train, 4 * 1437), (clip_set.test, 4 * 360)):
        assert split.examples.shape == (count, *SHAPES[clip_set.name])
        assert split.examples.dtype == np.uint8
        assert split.labels.dtype == np.int64
        assert not split.examples.flags.writeable
        assert split.examples.max() == clip_set.white == 16
    assert clip_set.kind == "clips"
    assert clip_set.classes == tuple("0123456789")
    assert "CC BY 4.0" in clip_set.licence
    assert "Alpaydin" in clip_set.source


def test_the_same_clips_every_time(clip_set):
    again = loaded(clip_set.name)
    for part in ("train", "test"):
        assert np.array_equal(getattr(again, part).examples, getattr(clip_set, part).examples)
        assert np.array_equal(getattr(motions_of(again), part), getattr(motions_of(clip_set), part))


def cut_out(clip: np.ndarray, frame: int, ink: np.ndarray) -> bytes:
    """Return the box of ink of one frame, given where the frame has ink."""
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    return clip[frame, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].tobytes()


@pytest.mark.parametrize("part", ["train", "test"])
def test_every_frame_shows_a_digit_of_the_clips_own_split_and_class(clip_set, digits, part):
    pictures = getattr(digits, part)
    known = {
        (cut_out(picture[None], 0, picture[..., 0] > 0), label)
        for picture, label in zip(pictures.examples, pictures.labels.tolist(), strict=True)
    }
    split, seen = getattr(clip_set, part), set()
    for clip, label in zip(split.examples[::5], split.labels[::5].tolist(), strict=True):
        boxes = {(cut_out(clip, frame, clip[frame, ..., 0] > 0), label) for frame in range(len(clip))}
        assert len(boxes) == 1
        seen |= boxes
    assert seen <= known
    assert len(seen) > len(known) / 2


@pytest.mark.parametrize("part", ["train", "test"])
def test_no_clip_is_there_twice_and_every_digit_makes_four(clip_set, digits, part):
    split = getattr(clip_set, part)
    assert len({clip.tobytes() for clip in split.examples}) == len(split)
    assert np.array_equal(np.bincount(split.labels), 4 * np.bincount(getattr(digits, part).labels))


def test_a_moving_digit_goes_in_all_four_directions_as_often(clip_sets):
    motions = motions_of(clip_sets["moving_digits"])
    assert motions.names == ("up", "down", "left", "right")
    assert np.bincount(motions.train).tolist() == [1437] * 4
    assert np.bincount(motions.test).tolist() == [360] * 4


def test_a_moving_digit_is_in_the_centre_in_its_second_frame(clip_sets, digits):
    test = clip_sets["moving_digits"].test
    centres = sorted(clip.tobytes() for clip in test.examples[:, 1, 2:10, 2:10])
    assert centres == sorted(picture.tobytes() for picture in digits.test.examples for _ in range(4))


def test_bouncing_digits_go_in_eight_directions_about_as_often(clip_sets):
    motions = motions_of(clip_sets["bouncing_digits"])
    assert motions.names == tuple(EIGHT)
    assert np.ptp(np.bincount(motions.train)) <= 4
    assert len(motions.names) == len(np.bincount(motions.test)) == 8


def ink_of_first_frames(clip_set) -> np.ndarray:
    return clip_set.train.examples[:, 0, ..., 0].any(axis=0)


def test_bouncing_digits_start_everywhere_and_touch_every_wall(clip_sets):
    ink = clip_sets["bouncing_digits"].train.examples.any(axis=(0, 1, 4))
    assert ink.any(axis=0).all()
    assert ink.any(axis=1).all()
    # All but a few pixels in the very corners, which hardly any digit inks.
    assert ink_of_first_frames(clip_sets["bouncing_digits"]).mean() > 0.95


@pytest.mark.parametrize("part", ["train", "test"])
def test_each_split_begins_with_a_mix_of_digits_and_motions(clip_set, part):
    assert len(set(getattr(clip_set, part).labels[:60].tolist())) == 10
    motions = motions_of(clip_set)
    assert set(getattr(motions, part)[:60].tolist()) == set(range(len(motions.names)))


@pytest.mark.parametrize("part", ["train", "test"])
def test_the_motion_of_every_real_clip_is_found(clip_set, part):
    split, motions = getattr(clip_set, part), getattr(motions_of(clip_set), part)
    found = find(clip_set, scaled(split.examples, clip_set.white))
    assert found.dtype == np.int64
    assert np.array_equal(found, motions)


def test_the_centre_of_the_ink_goes_where_the_motion_says(clip_set):
    """A check without the rule: the first two frames' centres of mass are one pixel apart, in the right direction."""
    frames = clip_set.test.examples[:, :2, ..., 0].astype(np.float64)
    mass = frames.sum(axis=(2, 3))
    places = np.arange(frames.shape[-1])
    centres = np.stack([frames.sum(axis=3) @ places / mass, frames.sum(axis=2) @ places / mass], axis=-1)
    directions = np.array(list((FOUR if clip_set.name == "moving_digits" else EIGHT).values()))
    np.testing.assert_allclose(np.diff(centres, axis=1)[:, 0], directions[motions_of(clip_set).test], atol=1e-9)


def codes(clips: np.ndarray, count: int) -> np.ndarray:
    """Return clips whose 2×2×2 tubelets became the nearest of `count` means, by a few rounds of k-means."""
    total, frames, height, width, _ = clips.shape
    cut = clips.reshape(total, frames // 2, 2, height // 2, 2, width // 2, 2).transpose(0, 1, 3, 5, 2, 4, 6)
    vectors = cut.reshape(-1, 8)
    different, weights = np.unique(vectors, axis=0, return_counts=True)
    means = different[np.random.default_rng(0).choice(len(different), count, replace=False)]
    for _ in range(6):
        nearest = np.argmin(np.square(means).sum(1) - 2 * different @ means.T, axis=1)
        mass = np.bincount(nearest, weights, count)
        sums = np.stack([np.bincount(nearest, weights * column, count) for column in different.T], axis=1)
        means = np.where(mass[:, None] > 0, sums / np.maximum(mass, 1)[:, None], means)
    made = means[np.argmin(np.square(means).sum(1) - 2 * vectors @ means.T, axis=1)].reshape(cut.shape)
    return made.transpose(0, 1, 4, 2, 5, 3, 6).reshape(clips.shape)


def test_a_coarse_tokenizer_hides_few_motions_and_invents_none(clip_set):
    clips = scaled(clip_set.test.examples[:400], clip_set.white)
    coarse = codes(clips, 128)
    assert np.square(coarse - clips).mean() > 1e-3
    found, motions = find(clip_set, coarse), motions_of(clip_set).test[:400]
    assert np.mean(found == motions) >= 0.95
    assert np.all((found == motions) | (found == -1))


def test_weak_noise_hides_nothing(clip_set):
    clips = scaled(clip_set.test.examples[:300], clip_set.white)
    noise = np.random.default_rng(0).normal(0, 0.05, clips.shape)
    assert np.array_equal(find(clip_set, clips + noise), motions_of(clip_set).test[:300])


def test_backwards_a_moving_digit_goes_the_opposite_way(clip_sets):
    moving = clip_sets["moving_digits"]
    found = find(moving, scaled(moving.test.examples[:, ::-1], moving.white))
    assert np.array_equal(found, np.array([1, 0, 3, 2])[motions_of(moving).test])


@pytest.mark.parametrize("order", [(0, 1, 1, 0), (0, 1, 2, 1), (0, 1, 2, 2), (0, 0, 1, 2), (2, 1, 2, 3)])
def test_moving_digits_that_stop_or_turn_back_do_not_move(clip_sets, order):
    moving = clip_sets["moving_digits"]
    assert np.all(find(moving, scaled(moving.test.examples[:, list(order)], moving.white)) == -1)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[1:-1])
def test_hardly_a_shuffled_moving_digit_moves(clip_sets, order):
    moving = clip_sets["moving_digits"]
    found = find(moving, scaled(moving.test.examples[:, list(order)], moving.white))
    assert np.mean(found >= 0) <= 0.035


def test_shuffled_bouncing_digits_do_not_move(clip_sets):
    bouncing = clip_sets["bouncing_digits"]
    clips, generator = scaled(bouncing.test.examples[:500], bouncing.white), np.random.default_rng(0)
    orders = generator.permuted(np.tile(np.arange(8), (500, 1)), axis=1)
    assert np.all(find(bouncing, clips[np.arange(500)[:, None], orders]) == -1)


def test_bouncing_digits_with_a_reversed_or_swapped_half_hardly_ever_move(clip_sets):
    bouncing = clip_sets["bouncing_digits"]
    clips = scaled(bouncing.test.examples, bouncing.white)
    assert np.mean(find(bouncing, clips[:, [4, 5, 6, 7, 0, 1, 2, 3]]) >= 0) <= 0.01
    # Where a leap of two pixels passes for a step of one, a few go back as if from a wall.
    assert np.mean(find(bouncing, clips[:, [0, 1, 2, 3, 7, 6, 5, 4]]) >= 0) <= 0.03


def test_a_digit_that_turns_back_without_a_wall_does_not_move():
    picture = np.ones((8, 8))
    clips = np.zeros((2, 8, 16, 16, 1))
    for frame, (free, walled) in enumerate(zip([1, 2, 3, 4, 3, 2, 1, 0], [4, 5, 6, 7, 8, 7, 6, 5], strict=True)):
        clips[0, frame, 4:12, free : free + 8, 0] = picture
        clips[1, frame, 4:12, walled : walled + 8, 0] = picture
    assert find_bouncing(clips).tolist() == [-1, list(EIGHT).index("right")]


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0, np.nan, np.inf])
def test_nothing_moves_in_constant_clips(value):
    assert find_moving(np.full((2, *SHAPES["moving_digits"]), value)).tolist() == [-1, -1]
    assert find_bouncing(np.full((2, *SHAPES["bouncing_digits"]), value)).tolist() == [-1, -1]


def test_nothing_moves_in_still_clips(clip_set):
    clips = scaled(clip_set.test.examples[:300], clip_set.white)
    still = np.broadcast_to(clips[:, :1], clips.shape)
    assert np.all(find(clip_set, still) == -1)


@given(st.integers(0, 2**32), st.floats(0.01, 2), st.floats(-1, 1))
def test_hardly_anything_moves_in_noise(seed, spread, mean):
    generator = np.random.default_rng(seed)
    for rule, shape, most in (
        (find_moving, SHAPES["moving_digits"], 2),
        (find_bouncing, SHAPES["bouncing_digits"], 0),
    ):
        assert np.sum(rule(generator.normal(mean, spread, (20, *shape))) >= 0) <= most


@given(st.integers(0, 2**32), st.integers(1, 5), st.sampled_from(list(itertools.product((-1, 0, 1), repeat=2))))
def test_the_shift_of_any_picture_is_found(seed, side, shift):
    """A picture of random pixels, wholly inside the frame before and after."""
    picture = np.random.default_rng(seed).uniform(0.1, 1, (side, side, 3))
    clip = np.zeros((1, 2, 9, 9, 3))
    for frame in (0, 1):
        top, left = (2 + frame * step for step in shift)
        clip[0, frame, top : top + side, left : left + side] = picture
    assert frame_shifts(clip, 0.5).tolist() == [[list(shift)]]


def test_no_clips_are_fine(clip_set):
    assert find(clip_set, np.zeros((0, *SHAPES[clip_set.name]))).shape == (0,)


@pytest.mark.parametrize("rule", [find_moving, find_bouncing])
def test_clips_that_cannot_be_checked(rule):
    with pytest.raises(DatasetError, match="must be floating-point, 0 black and 1 white, got uint8"):
        rule(np.zeros((1, 4, 12, 12, 1), np.uint8))
    for shape in ((2, 4, 16, 16, 1), (2, 8, 12, 12, 1), (2, 4, 12, 12, 3), (4, 12, 12, 1)):
        with pytest.raises(DatasetError, match=r"must have shape \[count, . *") as error:
            rule(np.zeros(shape))
        assert str(error.value).endswith(f"got {list(shape)}")
