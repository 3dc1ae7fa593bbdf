from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny_datasets
from tiny_datasets import DatasetError
from tiny_datasets.shapes import CLASSES, PLACES, generate, members

SHA256 = {
    "train": "b52276489986a032cee2c1da2088e4115686ca989d05af11d33b9aeb2b9a6ba0",
    "test": "f12cb687dd38e934d869d219defd13e84e62419a76888cbcb33178f785f8c35e",
}
CLASS_COUNT, PLACE_COUNT = 9, 355
labels_of_classes = st.integers(0, CLASS_COUNT - 1)
DRAWN = """
    square    disc      cross
    #######   ..###..   ...#...
    #######   .#####.   ...#...
    #######   #######   ...#...
    #######   #######   #######
    #######   #######   ...#...
    #######   .#####.   ...#...
    #######   ..###..   ...#...
    """
DRAWN_EVEN = """
    square     disc       cross
    ########   ..####..   ...##...
    ########   .######.   ...##...
    ########   ########   ...##...
    ########   ########   ########
    ########   ########   ########
    ########   ########   ...##...
    ########   .######.   ...##...
    ########   ..####..   ...##...
    """


@pytest.fixture(scope="module")
def shapes():
    return tiny_datasets.load("shapes")


@pytest.fixture(scope="module")
def all_members():
    return np.stack([members(label) for label in range(CLASS_COUNT)])


def keys(pictures):
    return [picture.tobytes() for picture in pictures]


def test_the_classes_are_shapes_in_colours():
    assert CLASSES == (
        "red square",
        "red disc",
        "red cross",
        "green square",
        "green disc",
        "green cross",
        "blue square",
        "blue disc",
        "blue cross",
    )


@pytest.mark.parametrize("drawing", [DRAWN, DRAWN_EVEN])
@pytest.mark.parametrize("colour", [0, 1, 2])
def test_the_shapes_are_drawn_as_one_would(drawing, colour):
    rows = [line.split() for line in drawing.strip().splitlines()]
    size = len(rows) - 1
    place = PLACES.index((size, 3, 5))
    for column, shape in enumerate(rows[0]):
        wanted = np.zeros((16, 16, 3), np.uint8)
        wanted[3 : 3 + size, 5 : 5 + size, colour] = [
            [255 * (character == "#") for character in row[column]] for row in rows[1:]
        ]
        label = CLASSES.index(f"{('red', 'green', 'blue')[colour]} {shape}")
        assert np.array_equal(members(label)[place], wanted)


@pytest.mark.parametrize("label", range(CLASS_COUNT))
def test_a_member_fills_its_place_and_nothing_else_in_its_colour(label):
    for picture, (size, top, left) in zip(members(label), PLACES, strict=True):
        painted = picture.max(axis=-1) > 0
        assert np.flatnonzero(painted.any(axis=1)).tolist() == list(range(top, top + size))
        assert np.flatnonzero(painted.any(axis=0)).tolist() == list(range(left, left + size))
        colour = np.zeros(3, np.uint8)
        colour[label // 3] = 255
        assert np.all(picture[painted] == colour)


def test_there_are_355_members_of_each_of_9_classes_and_all_differ(all_members):
    assert all_members.shape == (CLASS_COUNT, PLACE_COUNT, 16, 16, 3)
    assert all_members.dtype == np.uint8
    assert len(set(keys(all_members.reshape(-1, 16, 16, 3)))) == CLASS_COUNT * PLACE_COUNT


def test_members_of_different_classes_differ_in_12_pixels_or_more(all_members):
    codes = (all_members // 255 @ np.array([1, 2, 3])).reshape(CLASS_COUNT, PLACE_COUNT, 256)
    least = min(
        np.count_nonzero(member != codes[other], axis=-1).min()
        for label in range(CLASS_COUNT)
        for other in range(label)
        for member in codes[label]
    )
    assert least == 12


@pytest.mark.parametrize("label", [-1, 9])
def test_there_is_no_other_class(label):
    with pytest.raises(DatasetError, match=f"labels of shapes must be from 0 to 8, got {label}"):
        members(label)


def test_changing_members_does_not_change_the_next_ones():
    members(0)[:] = 7
    assert set(np.unique(members(0))) == {0, 255}


@given(st.integers(0, 60), st.integers())
def test_the_same_seed_gives_the_same_pictures_and_more_of_them_if_asked(count, seed):
    pictures, labels = generate(count, seed)
    assert pictures.shape == (count, 16, 16, 3)
    assert pictures.dtype == np.uint8
    assert labels.shape == (count,)
    assert labels.dtype == np.int64
    more_pictures, more_labels = generate(count + 3, seed)
    assert np.array_equal(pictures, more_pictures[:count])
    assert np.array_equal(labels, more_labels[:count])


@given(st.integers(), st.integers())
def test_another_seed_gives_other_pictures(first, second):
    assert (first == second) == np.array_equal(generate(20, first)[0], generate(20, second)[0])


@given(st.integers())
def test_every_generated_picture_is_a_member_of_its_class(seed):
    for picture, label in zip(*generate(10, seed), strict=True):
        assert picture.tobytes() in keys(members(label))


def test_it_is_the_same_in_every_version():
    pictures, labels = generate(6, 0)
    assert labels.tolist() == [0, 6, 2, 6, 5, 6]
    assert (
        hashlib.sha256(pictures.tobytes()).hexdigest()
        == "ddae76819e9e444b58413196d7d4cab9830553c5ffc40447e0e5a1ab0780223e"
    )


def test_all_members_are_generated_about_as_often(all_members):
    pictures, labels = generate(40 * CLASS_COUNT * PLACE_COUNT, 1)
    index = {key: number for number, key in enumerate(keys(all_members.reshape(-1, 16, 16, 3)))}
    counts = np.bincount([index[key] for key in keys(pictures)], minlength=len(index))
    assert 10 < counts.min() < counts.max() < 80  # 40 expected of each, with a standard deviation of 6.3
    assert np.all(np.abs(np.bincount(labels) - 40 * PLACE_COUNT) < 6 * np.sqrt(40 * PLACE_COUNT))


def test_fewer_than_no_pictures_are_an_error():
    with pytest.raises(DatasetError, match="count must be at least 0, got -1"):
        generate(-1, 0)


def test_the_dataset_holds_every_valid_picture_once_with_its_label(shapes, all_members):
    ours = [
        (key, label)
        for split in (shapes.train, shapes.test)
        for key, label in zip(keys(split.examples), split.labels.tolist(), strict=True)
    ]
    theirs = [(key, label) for label in range(CLASS_COUNT) for key in keys(all_members[label])]
    assert sorted(ours) == sorted(theirs)


def test_a_fifth_is_held_out_of_every_class(shapes):
    assert np.bincount(shapes.train.labels).tolist() == [284] * CLASS_COUNT
    assert np.bincount(shapes.test.labels).tolist() == [71] * CLASS_COUNT


def test_no_place_is_in_both_splits(shapes, all_members):
    index = {key: number % PLACE_COUNT for number, key in enumerate(keys(all_members.reshape(-1, 16, 16, 3)))}
    train, test = ({index[key] for key in keys(split.examples)} for split in (shapes.train, shapes.test))
    assert not train & test
    assert len(train) == 284
    assert len(test) == 71


def test_every_size_is_in_both_splits(shapes):
    for split in (shapes.train, shapes.test):
        squares = split.examples[split.labels % 3 == 0].max(axis=-1) > 0
        assert set(np.sqrt(squares.sum(axis=(1, 2)))) == {7, 8, 9, 10, 11, 12}


@pytest.mark.parametrize("part", ["train", "test"])
def test_each_split_begins_with_a_mix_of_all_classes(shapes, part):
    assert len(set(getattr(shapes, part).labels[:100].tolist())) == CLASS_COUNT


@pytest.mark.parametrize("part", ["train", "test"])
def test_the_pictures_are_the_ones_all_numbers_were_measured_on(shapes, part):
    split = getattr(shapes, part)
    content = split.examples.tobytes() + split.labels.astype("<i8").tobytes()
    assert hashlib.sha256(content).hexdigest() == SHA256[part]


def test_it_says_what_it_is(shapes):
    assert shapes.name == "shapes"
    assert shapes.kind == "pictures"
    assert shapes.classes == CLASSES
    assert shapes.white == 255
    assert "3,195" in shapes.description
    assert "Apache-2.0" in shapes.licence
    assert "tiny_datasets.shapes" in shapes.source
    with pytest.raises(ValueError, match="read-only"):
        shapes.train.examples[0] = 1
