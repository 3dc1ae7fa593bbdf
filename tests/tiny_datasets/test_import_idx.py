from __future__ import annotations

import gzip
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tiny_datasets import DatasetError, PictureDataset, import_idx, load

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx_bytes(array, kind=0x08):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def pairs(split):
    """The examples with their labels, whatever their order."""
    return sorted((example.tobytes(), int(label)) for example, label in zip(split.examples, split.labels, strict=True))


@pytest.fixture
def parts():
    """Twelve and four 4×6 pictures in three classes."""
    draw = np.random.default_rng(0)
    return [
        part
        for count in (12, 4)
        for part in (draw.integers(0, 256, (count, 4, 6), dtype=np.uint8), np.arange(count) % 3)
    ]


@pytest.fixture
def folder(tmp_path, parts):
    """The four files."""
    root = tmp_path / "mnist"
    root.mkdir()
    for name, part in zip(NAMES, parts, strict=True):
        (root / name).write_bytes(idx_bytes(part))
    return root


@pytest.fixture
def refusal(home):
    """Import what must be refused, and return the sentence."""

    def refused(path, name="mine", **options):
        with pytest.raises(DatasetError) as error:
            import_idx(path, name, **options)
        assert "\n" not in str(error.value)
        assert not home.exists()
        return str(error.value)

    return refused


def test_the_four_files_keep_their_division(folder, parts):
    made = import_idx(folder, "mine")
    stored = load("mine")
    for dataset in (made, stored):
        assert isinstance(dataset, PictureDataset)
        assert dataset.white == 255
        assert dataset.classes == ("0", "1", "2")
        assert dataset.description == "16 pictures of 3 classes, 4x6 grey pixels."
        assert dataset.source == "IDX files called 'mnist'"
        assert dataset.train.examples.shape == (12, 4, 6, 1)
        for split, images, labels in ((dataset.train, *parts[:2]), (dataset.test, *parts[2:])):
            assert pairs(split) == sorted((image.tobytes(), label) for image, label in zip(images, labels, strict=True))


@settings(max_examples=40)
@given(data=st.data(), compressed=st.booleans(), dotted=st.booleans(), ends=st.booleans())
def test_every_byte_comes_back(tmp_path_factory, data, compressed, dotted, ends):
    root = tmp_path_factory.mktemp("idx")
    sides = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    parts = []
    for count in data.draw(st.tuples(st.integers(1, 6), st.integers(1, 6))):
        parts += [data.draw(arrays.arrays(np.uint8, shape)) for shape in ((count, *sides), (count,))]
    for name, part in zip(NAMES, parts, strict=True):
        spelt = (name.replace("-idx", ".idx") if dotted else name) + (".gz" if ends else "")
        content = idx_bytes(part)
        (root / spelt).write_bytes(gzip.compress(content, 1) if compressed else content)
    import_idx(root, "mine", home=root / "home")
    stored = load("mine", root / "home")
    for split, images, labels in ((stored.train, *parts[:2]), (stored.test, *parts[2:])):
        assert split.examples.shape == (*images.shape, 1)
        assert pairs(split) == sorted(
            (image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)
        )


@given(data=st.data(), compressed=st.booleans())
def test_a_truncated_file_is_refused(tmp_path_factory, data, compressed):
    root = tmp_path_factory.mktemp("idx")
    for name, shape in zip(NAMES, ((3, 2, 2), (3,), (2, 2, 2), (2,)), strict=True):
        content = idx_bytes(np.arange(np.prod(shape)).reshape(shape))
        (root / name).write_bytes(gzip.compress(content) if compressed else content)
    path = root / data.draw(st.sampled_from(NAMES))
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(DatasetError, match=r"^[^\n]*$"):
        import_idx(root, "mine", home=root / "home")
    assert not (root / "home").exists()


@pytest.mark.parametrize("name", ["emnist-letters-train-images-idx3-ubyte.gz", "emnist-mnist-train-images.idx3-ubyte"])
def test_two_data_sets_in_one_folder(folder, refusal, name):
    (folder / name).touch()
    expected = f"must hold one data set, MNIST's or EMNIST's, got train-images-idx3-ubyte and {name}"
    assert expected in refusal(folder)


@pytest.mark.parametrize("spelling", ["train-images-idx3-ubyte", "train-images.idx3-ubyte"])
def test_one_file_has_a_share_held_out(folder, parts, spelling):
    path = (folder / NAMES[0]).rename(folder / spelling)
    dataset = import_idx(path, "mine", test_fraction=0.5)
    assert np.bincount(dataset.test.labels).tolist() == [2, 2, 2]
    expected = sorted((image.tobytes(), label) for image, label in zip(*parts[:2], strict=True))
    assert sorted(pairs(dataset.train) + pairs(dataset.test)) == expected
    assert len(import_idx(path, "other").test) == 3


def test_sorted_files_are_mixed(tmp_path):
    images, labels = np.zeros((200, 1, 1)), np.repeat([0, 1], 100)
    for name, part in zip(NAMES, (images, labels) * 2, strict=True):
        (tmp_path / name).write_bytes(idx_bytes(part))
    dataset = import_idx(tmp_path, "mine")
    for split in (dataset.train, dataset.test):
        assert 20 <= np.count_nonzero(split.labels[:80]) <= 60  # 40 expected


def test_a_new_size_is_the_mean_of_the_pixels_it_covers(folder, parts):
    dataset = import_idx(folder, "mine", height=2, width=3)
    assert "2x3 grey pixels, cut to their centre and shrunk from 4x6" in dataset.description
    means = parts[2].reshape(4, 2, 2, 3, 2).mean((2, 4))
    order = np.argsort(dataset.test.examples.reshape(4, -1).mean(1))
    found = dataset.test.examples[order][..., 0]
    assert np.abs(found - means[np.argsort(means.mean((1, 2)))]).max() <= 1  # rounded twice


def test_a_side_that_is_not_asked_for_stays(folder):
    assert import_idx(folder, "mine", width=3).train.examples.shape == (12, 4, 3, 1)


def test_colour_is_three_equal_channels(folder, parts):
    dataset = import_idx(folder, "mine", colour=True)
    assert dataset.train.examples.shape == (12, 4, 6, 3)
    assert pairs(dataset.test) == sorted(
        (np.repeat(image[..., None], 3, -1).tobytes(), label) for image, label in zip(*parts[2:], strict=True)
    )


# Refusals


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_magic_number(folder, refusal, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:2] + b"\x0d" + content[3:])
    rank = 3 if "images" in name else 1
    sentence = f"{name} must begin with the magic number 0x0000080{rank}, got 0x00000D0{rank}"
    assert sentence in refusal(folder)


def test_labels_in_the_place_of_pictures(folder, refusal):
    (folder / NAMES[0]).write_bytes((folder / NAMES[1]).read_bytes())
    assert "must begin with the magic number 0x00000803, got 0x00000801" in refusal(folder)


@pytest.mark.parametrize("name", NAMES)
def test_bytes_that_are_too_many(folder, refusal, name):
    path = folder / name
    path.write_bytes(path.read_bytes() + b"\0")
    assert "bytes after its header, as that says, got more" in refusal(folder)


def test_a_damaged_gzip_file(folder, refusal):
    content = bytearray(gzip.compress((folder / NAMES[0]).read_bytes()))
    content[-6] ^= 1  # in the checksum
    (folder / NAMES[0]).write_bytes(content)
    assert f"{NAMES[0]} must be a whole IDX file, got one that cannot be read: CRC check failed" in refusal(folder)


@pytest.mark.parametrize("shape", [(2**32 - 1, 2**32 - 1, 2**32 - 1), (2**12, 1024, 1024), (1, 1025, 1), (0, 4, 6)])
def test_a_header_that_promises_absurd_sizes(folder, refusal, shape):
    (folder / NAMES[0]).write_bytes(struct.pack(">4I", 0x803, *shape))
    message = refusal(folder)
    assert "must hold 1 or more examples with sides of at most 1024, 2,147,483,648 bytes in all" in message
    assert message.endswith(f"got shape {list(shape)}")


def peak_of(action):
    """The most memory that Python took meanwhile, in bytes."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_grows_with_what_is_there_and_not_with_promises(folder, refusal):
    (folder / NAMES[0]).write_bytes(struct.pack(">4I", 0x803, 1000, 1024, 1024))
    assert peak_of(lambda: refusal(folder)) < 2**23


def test_a_gzip_bomb_is_not_unpacked(folder, refusal):
    bomb = struct.pack(">4I", 0x803, 1, 2, 2) + bytes(2**25)
    (folder / NAMES[0]).write_bytes(gzip.compress(bomb))
    del bomb
    assert peak_of(lambda: refusal(folder)) < 2**23


def test_numbers_of_pictures_and_labels_that_differ(folder, refusal):
    (folder / NAMES[3]).write_bytes(idx_bytes(np.arange(5)))
    assert f"{NAMES[3]} must hold one label for each of its 4 examples, got 5" in refusal(folder)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file(folder, refusal, name):
    (folder / name).unlink()
    assert f"mnist must hold {name}, plain or .gz, got no such file" in refusal(folder)


def test_no_labels_beside_one_file(folder, refusal):
    (folder / NAMES[1]).unlink()
    assert f"mnist must hold {NAMES[1]}, plain or .gz" in refusal(folder / NAMES[0])


def test_a_name_that_does_not_lead_to_labels(folder, refusal):
    (folder / NAMES[0]).rename(folder / "mine")
    assert "mine must have 'images' in its name, so that its labels are found beside it" in refusal(folder / "mine")


def test_nothing_there(folder, refusal):
    assert "nowhere must be an IDX file, got no such file" in refusal(folder / "nowhere")


def test_test_pictures_of_another_size(folder, refusal):
    (folder / NAMES[2]).write_bytes(idx_bytes(np.zeros((4, 3, 6))))
    assert "must hold test pictures of 4x6 pixels as the training ones, got 3x6" in refusal(folder)


def test_a_share_of_what_is_divided_already(folder, refusal):
    message = refusal(folder, test_fraction=0.3)
    assert message == f"test_fraction must be left out for {folder}, which has test examples of its own, got 0.3"


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"height": 0}, "height must be from 1 to 1024 pixels, got 0"),
        ({"width": 1025}, "width must be from 1 to 1024 pixels, got 1025"),
        ({"test_fraction": 1}, "test_fraction must be greater than 0"),
        ({"name": "Mine"}, "name must be 1 to 64 lower-case letters"),
        ({"name": "digits"}, "which already exists in this package"),
    ],
)
def test_a_bad_request(folder, refusal, options, wanted):
    assert wanted in refusal(folder, **options)


def test_a_name_that_exists(folder, home):
    import_idx(folder, "mine")
    before = (home / "mine" / "dataset.safetensors").read_bytes()
    with pytest.raises(DatasetError, match="already exists"):
        import_idx(folder, "mine", height=2)
    assert (home / "mine" / "dataset.safetensors").read_bytes() == before


def test_emnist_is_turned_upright(tmp_path):
    """EMNIST stores pictures column by column, and has names of its own; its letters begin with label 1."""
    upright = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    for part in ("train", "test"):
        stored = upright.swapaxes(1, 2)
        head = struct.pack(">IIII", 0x803, *stored.shape)
        name = f"emnist-letters-{part}-images-idx3-ubyte.gz"
        (tmp_path / name).write_bytes(gzip.compress(head + stored.tobytes()))
        labels = struct.pack(">II", 0x801, 2) + bytes([1, 2])
        (tmp_path / f"emnist-letters-{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    dataset = import_idx(tmp_path, "letters")
    for split in (dataset.train, dataset.test):
        order = np.argsort(split.labels)
        assert np.array_equal(split.examples[order, ..., 0], upright)
    (tmp_path / "emnist-digits-train-images-idx3-ubyte.gz").touch()
    with pytest.raises(DatasetError, match="must hold one split of EMNIST, got emnist-digits"):
        import_idx(tmp_path, "more")
