from __future__ import annotations

import hashlib

import numpy as np
import pytest

import tiny_datasets
from tiny_datasets.photos.crops import HEIGHT, SIZES, TEST_STRIPS, TRAIN_STRIPS, WIDTH, crops

SHA256 = "8d05a67c78bb3f31523e94c6dec9f3753f2f88e7490cbedfa4658697f63854f8"


@pytest.fixture(scope="module")
def photos():
    return tiny_datasets.load("photos")


def pixels(strips):
    """Return how many squares each pixel of a photograph is in."""
    covered = np.zeros((HEIGHT, WIDTH), np.int64)
    for top, left, size in crops(strips):
        covered[top : top + size, left : left + size] += 1
    return covered


def test_they_are_4000_colour_pictures_of_16_by_16_pixels(photos):
    assert photos.train.examples.shape == (3200, 16, 16, 3)
    assert photos.test.examples.shape == (800, 16, 16, 3)
    assert np.bincount(photos.train.labels).tolist() == [1600, 1600]
    assert np.bincount(photos.test.labels).tolist() == [400, 400]
    assert photos.train.examples.dtype == np.uint8
    assert photos.white == 255


def test_no_pixel_of_a_photograph_is_in_both_splits():
    assert not np.any((pixels(TRAIN_STRIPS) > 0) & (pixels(TEST_STRIPS) > 0))


@pytest.mark.parametrize("strip", [*TRAIN_STRIPS, *TEST_STRIPS])
@pytest.mark.parametrize("size", SIZES)
def test_squares_of_every_size_reach_all_four_edges_of_their_strip(strip, size):
    squares = [square for square in crops((strip,)) if square.size == size]
    for starts, first, end in (
        ({square.top for square in squares}, 0, HEIGHT),
        ({square.left for square in squares}, strip.first, strip.end),
    ):
        assert min(starts) == first
        assert max(starts) == end - size


def test_the_strips_make_up_the_photograph():
    columns = [column for strip in (*TRAIN_STRIPS, *TEST_STRIPS) for column in range(strip.first, strip.end)]
    assert sorted(columns) == list(range(WIDTH))


@pytest.mark.parametrize("strips", [TRAIN_STRIPS, TEST_STRIPS])
def test_the_squares_are_all_different_inside_the_photograph_and_as_many_of_every_size(strips):
    squares = crops(strips)
    assert len(set(squares)) == len(squares)
    for top, left, size in squares:
        assert 0 <= top <= HEIGHT - size
        assert 0 <= left <= WIDTH - size
    sizes = [square.size for square in squares]
    assert {sizes.count(size) for size in SIZES} == {len(squares) // len(SIZES)}
    assert all(size % 16 == 0 for size in SIZES)


def test_no_picture_is_there_twice(photos):
    train, test = ({picture.tobytes() for picture in split.examples} for split in (photos.train, photos.test))
    assert not train & test
    assert len(train | test) == 4000


@pytest.mark.parametrize("part", ["train", "test"])
def test_each_split_mixes_the_photographs(photos, part):
    labels = getattr(photos, part).labels
    assert np.bincount(labels[:100]).min() >= 30  # 50 expected of each


def test_it_says_what_it_is(photos):
    assert photos.name == "photos"
    assert photos.kind == "pictures"
    assert photos.classes == ("china", "flower")
    assert "CC BY 2.0" in photos.licence
    for person in ("danielbuechele", "vultilion"):
        assert person in photos.source
        assert person in (tiny_datasets.dataset_folder("photos") / "SOURCE.md").read_text(encoding="utf-8")


def test_the_tensors_are_the_ones_all_numbers_were_measured_on():
    content = (tiny_datasets.dataset_folder("photos") / "dataset.safetensors").read_bytes()
    assert len(content) < 4_000_000
    assert hashlib.sha256(content).hexdigest() == SHA256


@pytest.mark.slow
def test_building_it_again_gives_the_same_bytes(tmp_path):
    from tiny_datasets.photos.build import build

    build(tmp_path)
    for name in ("dataset.json", "dataset.safetensors"):
        assert (tmp_path / name).read_bytes() == (tiny_datasets.dataset_folder("photos") / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("part", "strips"), [("train", TRAIN_STRIPS), ("test", TEST_STRIPS)])
def test_every_picture_is_a_square_of_its_own_photograph_and_split(photos, part, strips):
    from sklearn.datasets import load_sample_image

    split = getattr(photos, part)
    for label, name in enumerate(photos.classes):
        photograph = load_sample_image(f"{name}.jpg")
        assert photograph.shape == (HEIGHT, WIDTH, 3)
        means = np.stack(
            [
                photograph[top : top + size, left : left + size]
                .reshape(16, size // 16, 16, size // 16, 3)
                .mean(axis=(1, 3), dtype=np.float32)
                for top, left, size in crops(strips)
            ]
        ).reshape(-1, 768)
        pictures = split.examples[split.labels == label].reshape(-1, 768).astype(np.float32)
        # The order of a split is its own affair: for each picture there must be a square that it is the mean of.
        taken = set()
        for picture in pictures:
            farthest = np.abs(means - picture).max(axis=1)
            taken.add(int(farthest.argmin()))
            assert farthest.min() <= 1  # rows and columns are rounded one after the other
        assert len(taken) == len(means)
