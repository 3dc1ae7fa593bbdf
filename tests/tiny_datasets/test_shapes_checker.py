from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tiny_datasets import DatasetError, load, scaled
from tiny_datasets.shapes import CLASSES, PLACES, WRONG_PIXELS, generate, is_valid, members, nearest_member_distance

ALL_LABELS = np.arange(len(CLASSES))
PALETTE = np.concatenate([np.zeros((1, 3)), np.eye(3)])
MEMBERS = np.stack([members(label) for label in range(len(CLASSES))])
seeds = st.integers(0, 2**64)


def one(seed):
    """Generate one picture as intensities, and its label."""
    pictures, labels = generate(1, seed)
    return scaled(pictures, 255)[0], int(labels[0])


def distances_to_all(picture):
    """Return the distance of one picture to the nearest member of every class."""
    return nearest_member_distance(np.repeat(picture[None], len(CLASSES), axis=0), ALL_LABELS)


def distances_by_hand(picture):
    """Return the same, pixel by pixel out of the stored members."""
    away = ((picture[:, :, None, :].astype(np.float64) - PALETTE) ** 2).sum(axis=-1)
    rounded = (255 * PALETTE[away.argmin(axis=-1)]).astype(np.uint8)
    return (rounded != MEMBERS).any(axis=-1).sum(axis=(2, 3)).min(axis=1).tolist()


@given(seeds)
def test_every_generated_picture_is_valid_for_its_class_and_no_other(seed):
    picture, label = one(seed)
    distances = distances_to_all(picture)
    assert distances[label] == 0
    assert np.delete(distances, label).min() >= 12
    valid = is_valid(np.repeat(picture[None], len(CLASSES), axis=0), ALL_LABELS)
    assert np.flatnonzero(valid).tolist() == [label]


@pytest.mark.parametrize("part", ["train", "test"])
def test_the_whole_dataset_is_valid(part):
    shapes = load("shapes")
    split = getattr(shapes, part)
    assert is_valid(scaled(split.examples, 255), split.labels, wrong_pixels=0).all()
    for shift in range(1, len(CLASSES)):
        assert not is_valid(scaled(split.examples, 255), (split.labels + shift) % len(CLASSES), wrong_pixels=5).any()


@settings(max_examples=24)
@given(arrays.arrays(np.uint8, (16, 16, 3), elements=st.integers(0, 64)))
def test_the_distance_of_any_picture_is_that_counted_by_hand(values):
    picture = values / 64  # of which squares and their sums are exact, so that half-way is half-way
    assert distances_to_all(picture).tolist() == distances_by_hand(picture)


@settings(max_examples=24)
@given(seeds, st.integers(0, 60), st.randoms(use_true_random=False))
def test_the_distance_of_a_spoiled_member_is_that_counted_by_hand(seed, count, random):
    picture, _ = one(seed)
    for pixel in random.sample(range(256), count):
        picture[divmod(pixel, 16)] = PALETTE[random.randrange(4)]
    assert distances_to_all(picture).tolist() == distances_by_hand(picture)


@given(seeds, seeds, st.sampled_from([np.float16, np.float32, np.float64]))
def test_noise_of_less_than_half_changes_nothing(seed, noise_seed, dtype):
    picture, label = one(seed)
    noise = np.random.default_rng(noise_seed).choice([-0.499, 0.499, 0.0, 0.3], picture.shape)
    for noisy in (picture + noise, np.clip(picture + noise, 0, 1)):
        assert is_valid(noisy[None].astype(dtype), np.array([label]), wrong_pixels=0).all()


@given(seeds, st.integers(0, 5), st.randoms(use_true_random=False))
def test_a_few_wrong_pixels_are_forgiven_and_no_more(seed, count, random):
    picture, label = one(seed)
    for pixel in random.sample(range(256), count):
        position = divmod(pixel, 16)
        before = int((picture[position] == PALETTE).all(axis=-1).argmax())
        picture[position] = PALETTE[(before + random.randrange(1, 4)) % 4]
    distances = distances_to_all(picture)
    assert distances[label] <= count
    assert distances[label] == count or count > 2  # with 3, another member may be nearer
    assert np.delete(distances, label).min() > 5  # never valid for another class
    for limit in range(8):
        valid = is_valid(picture[None], np.array([label]), wrong_pixels=limit)
        assert valid.item() == (distances[label] <= limit)


def test_two_wrong_pixels_are_forgiven_by_default_and_three_are_not():
    assert WRONG_PIXELS == 2
    picture, label = scaled(members(0), 255)[PLACES.index((8, 4, 4))], np.array([0])
    for count, valid in enumerate([True, True, True, False]):
        spoiled = picture.copy()
        spoiled[0, :count] = 1, 0, 0
        assert nearest_member_distance(spoiled[None], label).tolist() == [count]
        assert is_valid(spoiled[None], label).tolist() == [valid]


@given(seeds, st.sampled_from([1, 2]))
def test_another_colour_is_another_class(seed, turn):
    picture, label = one(seed)
    recoloured = np.roll(picture, turn, axis=-1)[None]
    assert not is_valid(recoloured, np.array([label])).any()
    assert is_valid(recoloured, np.array([(label + 3 * turn) % 9]), wrong_pixels=0).all()


@given(seeds, st.integers(0, 15), st.integers(0, 15))
def test_a_shape_moved_over_the_edge_is_invalid_and_one_moved_inside_is_valid(seed, down, right):
    pictures, labels = generate(1, seed)
    moved = np.roll(pictures, (down, right), axis=(1, 2))
    inside = moved.tobytes() in {picture.tobytes() for picture in members(int(labels[0]))}
    assert is_valid(scaled(moved, 255), labels, wrong_pixels=0).item() == inside


@pytest.mark.parametrize("label", range(9))
def test_what_is_no_shape_is_invalid(label):
    picture, labels = scaled(members(label), 255)[PLACES.index((10, 3, 3))], np.array([label])
    half = picture.copy()
    half[:, 8:] = 0
    two = np.maximum(scaled(members(label), 255)[PLACES.index((7, 0, 0))], picture[::-1])
    for wrong in (np.zeros_like(picture), np.ones_like(picture), half, two, 1 - picture, picture * 0.49):
        assert not is_valid(wrong[None], labels).any()


@pytest.mark.parametrize(
    ("pixel", "colour"),
    [
        ((0.5, 0, 0), "black"),
        ((0.5, 0.5, 0.5), "black"),
        ((0.75, 0.75, 0), "red"),
        ((0, 0.75, 0.75), "green"),
        ((1, 1, 1), "red"),
        ((0.6, 0, 0.7), "blue"),
        ((-5, 9, 0), "green"),
        ((0, 0, np.inf), "blue"),
        ((-np.inf, 0, 0), "black"),
        ((1e300, 0, 0), "red"),
        ((np.nan, 0, 0), None),
        ((1, 0, np.nan), None),
    ],
)
def test_a_pixel_is_of_the_nearest_colour(pixel, colour):
    palette = dict(zip(("black", "red", "green", "blue"), PALETTE, strict=True))
    for candidate, value in palette.items():
        label = {"black": 0, "red": 0, "green": 3, "blue": 6}[candidate]
        picture = members(label)[PLACES.index((9, 2, 2))] / 255.0
        position = (0, 0) if candidate == "black" else (5, 5)
        assert np.array_equal(picture[position], value)
        picture[position] = pixel
        assert nearest_member_distance(picture[None], np.array([label])).tolist() == [int(candidate != colour)]


def test_a_picture_of_nans_is_wrong_everywhere():
    assert nearest_member_distance(np.full((9, 16, 16, 3), np.nan), ALL_LABELS).tolist() == [256] * 9


def test_no_pictures_are_fine():
    distances = nearest_member_distance(np.zeros((0, 16, 16, 3)), np.zeros(0, np.int64))
    assert distances.shape == (0,)
    assert distances.dtype == np.int64
    valid = is_valid(np.zeros((0, 16, 16, 3)), np.zeros(0, np.int64))
    assert valid.shape == (0,)
    assert valid.dtype == np.bool_


@pytest.mark.parametrize("order", [[4, 0, 8, 4], [8, 7, 0, 1]])
def test_each_picture_gets_its_own_answer(order):
    pictures = np.stack([scaled(members(label), 255)[number] for number, label in enumerate(order)])
    pictures[1, 0, 15] = pictures[1, 15, 0] = pictures[1, 15, 15] = 1, 0, 0
    labels = np.array(order, np.uint8)
    assert nearest_member_distance(pictures, labels).tolist() == [0, 3, 0, 0]
    assert is_valid(pictures, labels).tolist() == [True, False, True, True]


@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 16, 16, 1), (1, 8, 8, 3), (16, 16, 3), (2, 16, 16, 3)])
def test_pictures_of_another_shape(shape):
    with pytest.raises(DatasetError, match=r"must have shape \[count, 16, 16, 3\] and their labels \[count\], got"):
        is_valid(np.zeros(shape), np.zeros(1, np.int64))


def test_labels_of_another_shape():
    with pytest.raises(DatasetError, match=r"got \[1, 16, 16, 3\] and \[1, 1\]"):
        is_valid(np.zeros((1, 16, 16, 3)), np.zeros((1, 1), np.int64))


def test_pictures_that_are_no_intensities():
    pictures: Any
    pictures, labels = generate(1, 0)
    with pytest.raises(DatasetError, match="must be floating-point, 0 black and 1 white, got uint8"):
        is_valid(pictures, labels)


@pytest.mark.parametrize("label", [-1, 9])
def test_labels_without_a_class(label):
    with pytest.raises(DatasetError, match=f"labels of shapes must be from 0 to 8, got {label}"):
        is_valid(np.zeros((2, 16, 16, 3)), np.array([0, label]))


def test_labels_that_are_no_integers():
    labels: Any = np.zeros(1)
    with pytest.raises(DatasetError, match="labels of shapes must be integers, got float64"):
        is_valid(np.zeros((1, 16, 16, 3)), labels)


def test_a_negative_tolerance():
    with pytest.raises(DatasetError, match="wrong_pixels must be at least 0, got -1"):
        is_valid(np.zeros((0, 16, 16, 3)), np.zeros(0, np.int64), wrong_pixels=-1)
