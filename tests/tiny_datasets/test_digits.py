from __future__ import annotations

import hashlib

import numpy as np
import pytest

import tiny_datasets

SHA256 = "258254be368bb8fbdd3d146aaab80ab2cb01bd1542bfab305c1292770b3c7214"


@pytest.fixture(scope="module")
def digits():
    return tiny_datasets.load("digits")


def test_they_are_1797_pictures_of_8_by_8_pixels_and_one_channel(digits):
    assert digits.train.examples.shape == (1437, 8, 8, 1)
    assert digits.test.examples.shape == (360, 8, 8, 1)
    assert len(digits.train) == 1437
    assert len(digits.test) == 360
    assert digits.train.examples.dtype == digits.test.examples.dtype == np.uint8
    assert digits.train.labels.dtype == digits.test.labels.dtype == np.int64


@pytest.mark.parametrize("part", ["train", "test"])
def test_each_split_uses_the_whole_range_from_black_to_white(digits, part):
    examples = getattr(digits, part).examples
    assert examples.min() == 0
    assert examples.max() == digits.white == 16


def test_every_digit_is_held_out_36_times(digits):
    assert np.bincount(digits.test.labels).tolist() == [36] * 10


def test_the_classes_have_the_sizes_that_uci_gives(digits):
    sizes = np.bincount(digits.train.labels) + np.bincount(digits.test.labels)
    assert sizes.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_no_picture_is_there_twice_so_the_splits_are_disjoint(digits):
    train, test = ({picture.tobytes() for picture in split.examples} for split in (digits.train, digits.test))
    assert not train & test
    assert len(train | test) == 1797


@pytest.mark.parametrize("part", ["train", "test"])
def test_each_split_begins_with_a_mix_of_all_digits(digits, part):
    assert len(set(getattr(digits, part).labels[:50].tolist())) == 10


def test_it_says_what_it_is(digits):
    assert digits.name == "digits"
    assert digits.kind == "pictures"
    assert digits.classes == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    assert "share these writers" in digits.description
    assert "CC BY 4.0" in digits.licence
    assert "Alpaydin" in digits.source


def test_its_source_is_told_beside_the_files():
    text = (tiny_datasets.dataset_folder("digits") / "SOURCE.md").read_text(encoding="utf-8")
    assert "CC BY 4.0" in text
    assert "BSD-3-Clause" in text
    assert "same 13 writers" in text


def test_the_tensors_are_the_ones_all_numbers_were_measured_on():
    content = (tiny_datasets.dataset_folder("digits") / "dataset.safetensors").read_bytes()
    assert hashlib.sha256(content).hexdigest() == SHA256


@pytest.mark.slow
def test_building_it_again_gives_the_same_bytes(tmp_path):
    from tiny_datasets.digits.build import build

    build(tmp_path)
    for name in ("dataset.json", "dataset.safetensors"):
        assert (tmp_path / name).read_bytes() == (tiny_datasets.dataset_folder("digits") / name).read_bytes()


@pytest.mark.slow
def test_it_holds_exactly_the_pictures_of_scikit_learn(digits):
    from sklearn.datasets import load_digits

    pictures, labels = load_digits(return_X_y=True)
    ours = [
        (picture.tobytes(), label)
        for split in (digits.train, digits.test)
        for picture, label in zip(split.examples, split.labels.tolist(), strict=True)
    ]
    theirs = [(picture.astype(np.uint8).tobytes(), label) for picture, label in zip(pictures, labels, strict=True)]
    assert sorted(ours) == sorted(theirs)
