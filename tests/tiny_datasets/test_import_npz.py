from __future__ import annotations

import io
import os
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tiny_datasets import ClipDataset, DatasetError, PictureDataset, import_npz, load

LAYOUTS = (
    "either images and labels, or x_train, y_train, x_test and y_test, "
    "or train_images, train_labels, test_images and test_labels"
)


def pairs(examples, labels):
    return sorted((example.tobytes(), int(label)) for example, label in zip(examples, labels, strict=True))


def all_pairs(dataset):
    return sorted(pair for part in (dataset.train, dataset.test) for pair in pairs(part.examples, part.labels))


@pytest.fixture
def good():
    """Ten 4×6 pictures in two classes."""
    images = np.random.default_rng(0).integers(0, 256, (10, 4, 6), dtype=np.uint8)
    return {"images": images, "labels": np.arange(10) % 2}


@pytest.fixture
def store(tmp_path, good):
    """Write the good file with some of its arrays replaced, or removed where None."""

    def write(**changes):
        path = tmp_path / "mine.npz"
        np.savez(path, **{name: value for name, value in (good | changes).items() if value is not None})
        return path

    return write


@pytest.fixture
def refusal(home):
    """Import what must be refused, and return the sentence."""

    def refused(path, name="mine", **options):
        with pytest.raises(DatasetError) as error:
            import_npz(path, name, **options)
        assert "\n" not in str(error.value)
        assert not home.exists()
        return str(error.value)

    return refused


def test_pictures_come_through(store, good):
    import_npz(store(other=np.zeros(3)), "mine", test_fraction=0.4)
    dataset = load("mine")
    assert isinstance(dataset, PictureDataset)
    assert dataset.white == 255
    assert dataset.classes == ("0", "1")
    assert dataset.description == "10 pictures of 2 classes, 4x6 grey pixels."
    assert dataset.source == "an NPZ file called 'mine.npz'"
    assert len(dataset.test) == 4
    assert all_pairs(dataset) == pairs(**dict(zip(("examples", "labels"), good.values(), strict=True)))


@settings(max_examples=40)
@given(data=st.data(), compressed=st.booleans(), by_columns=st.booleans(), column=st.booleans())
def test_every_byte_comes_back(tmp_path_factory, data, compressed, by_columns, column):
    folder = tmp_path_factory.mktemp("npz")
    sides = data.draw(st.lists(st.integers(1, 4), min_size=2, max_size=3))
    channels = [] if len(sides) == 2 and data.draw(st.booleans()) else [data.draw(st.sampled_from([1, 3]))]
    held, count = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    parts = {}
    for part, size in (("train", count), ("test", held)):
        examples = data.draw(arrays.arrays(np.uint8, (size, *sides, *channels)))
        labels = data.draw(
            arrays.arrays(st.sampled_from([np.int64, np.uint8, ">i4"]), size, elements=st.integers(0, 9))
        )
        parts[f"x_{part}"] = np.asfortranarray(examples) if by_columns else examples
        parts[f"y_{part}"] = labels[:, None] if column else labels
    (np.savez_compressed if compressed else np.savez)(folder / "file.npz", **parts)
    import_npz(folder / "file.npz", "mine", home=folder / "home")
    stored = load("mine", folder / "home")
    assert isinstance(stored, ClipDataset if len(sides) == 3 else PictureDataset)
    for part, split in (("train", stored.train), ("test", stored.test)):
        examples, labels = parts[f"x_{part}"], parts[f"y_{part}"].reshape(-1)
        assert split.examples.shape == (*examples.shape[: 1 + len(sides)], *(channels or [1]))
        assert pairs(split.examples, split.labels) == pairs(np.ascontiguousarray(examples), labels)


@settings(max_examples=40)
@given(arrays.arrays(np.uint8, (3, 2, 2)), st.sampled_from([np.float16, np.float32, np.float64, ">f8"]))
def test_floats_from_0_to_1_are_shares_of_white(tmp_path_factory, images, dtype):
    folder = tmp_path_factory.mktemp("npz")
    np.savez(folder / "file.npz", images=(images / 255).astype(dtype), labels=[0, 0, 0])
    dataset = import_npz(folder / "file.npz", "mine", home=folder / "home")
    assert all_pairs(dataset) == pairs(images, [0, 0, 0])


@given(data=st.data(), compressed=st.booleans())
def test_a_truncated_file_is_refused(tmp_path_factory, data, compressed):
    folder = tmp_path_factory.mktemp("npz")
    path = folder / "file.npz"
    images = np.arange(4 * 9, dtype=np.uint8).reshape(4, 3, 3)
    (np.savez_compressed if compressed else np.savez)(path, images=images, labels=[0, 1, 0, 1])
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(DatasetError, match=r"^[^\n]*must be a whole NPZ file"):
        import_npz(path, "mine", home=folder / "home")
    assert not (folder / "home").exists()


@given(st.data())
def test_a_damaged_file_is_refused_or_says_the_same(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("npz")
    path = folder / "file.npz"
    images = np.arange(4 * 9, dtype=np.uint8).reshape(4, 3, 3)
    np.savez_compressed(path, images=images, labels=[0, 1, 0, 1])
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        dataset = import_npz(path, "mine", home=folder / "home")
    except DatasetError as error:
        assert "\n" not in str(error)  # noqa: PT017  either of two ends is right
        assert not (folder / "home").exists()
    else:
        assert all_pairs(dataset) == pairs(images, [0, 1, 0, 1])


def test_a_new_size_and_colour_of_clips(store):
    clips = np.random.default_rng(0).integers(0, 256, (10, 5, 4, 6, 3), dtype=np.uint8)
    dataset = import_npz(store(images=clips), "mine", height=2, width=3)
    assert isinstance(dataset, ClipDataset)
    assert dataset.train.examples.shape == (8, 5, 2, 3, 3)
    expected = "10 clips of 5 frames in 2 classes, 2x3 colour pixels, cut to their centre and shrunk from 4x6."
    assert dataset.description == expected
    means = clips.reshape(10, 5, 2, 2, 3, 2, 3).mean((3, 5))
    for clip in dataset.test.examples:
        assert np.abs(means - clip).max((1, 2, 3, 4)).min() <= 1  # rounded twice
    assert import_npz(store(images=clips), "grey", colour=False).train.examples.shape == (8, 5, 4, 6, 1)


# Refusals


class Intruder:
    """Pickled, it makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("key", ["images", "labels"])
def test_objects_are_refused_and_never_unpickled(store, refusal, tmp_path, key):
    path = store(**{key: np.array([Intruder(tmp_path / "intruded")] * 10, object)})
    assert refusal(path) == f"'{key}' in {path} must hold numbers, got Python objects, which are never unpickled"
    assert not (tmp_path / "intruded").exists()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"labels": None}, f"must hold {LAYOUTS}, got images"),
        ({"images": None, "labels": None}, "got none at all"),
        (
            dict.fromkeys(("x_train", "y_train", "x_test", "y_test"), np.zeros(1)),
            f"must hold {LAYOUTS}, got images, labels, x_train",
        ),
        ({"labels": np.arange(9)}, "must hold one label for each of its 10 examples, got 9"),
        ({"labels": np.arange(10) - 1}, "must hold labels from 0 to 65535, got -1"),
        (
            {"labels": np.array([0, 2**64 - 1] * 5, np.uint64)},
            "must hold labels from 0 to 65535, got 18446744073709551615",
        ),
        ({"labels": np.arange(10) * 10**6}, "must hold labels from 0 to 65535, got 9000000"),
        ({"labels": np.zeros(10)}, "must hold whole numbers of shape [count], got float64 of shape [10]"),
        ({"labels": np.eye(10, dtype=int)}, "must hold whole numbers of shape [count], got int64 of shape [10, 10]"),
        ({"labels": np.array(["cat"] * 10)}, "must hold numbers, got <U3"),
        ({"labels": np.arange(10)}, "must hold 2 or more examples of some class"),
        (
            {"images": np.zeros((10, 4, 6), np.int32)},
            "must hold uint8, or floating-point numbers from 0 to 1, got int32",
        ),
        ({"images": np.full((10, 4, 6), 255.0)}, "floating-point numbers from 0 black to 1 white, got 255.0"),
        ({"images": np.full((10, 4, 6), -0.5)}, "floating-point numbers from 0 black to 1 white, got -0.5"),
        ({"images": np.full((10, 4, 6), np.nan)}, "floating-point numbers from 0 black to 1 white, got nan"),
        ({"images": np.zeros((10, 3, 4, 6), np.uint8)}, "with 1 or 3 channels last, got [10, 3, 4, 6]"),
        ({"images": np.zeros((10, 24), np.uint8)}, "with 1 or 3 channels last, got [10, 24]"),
        ({"images": np.zeros((10, 4, 0), np.uint8)}, "must hold 1 or more examples with sides of at most 1024"),
        ({"images": np.zeros((10, 1, 1025), np.uint8)}, "must hold 1 or more examples with sides of at most 1024"),
        ({"images": np.zeros(10, [("a", "u1")])}, "must hold numbers, got [('a', 'u1')]"),
    ],
)
def test_arrays_that_are_no_labelled_pictures(store, refusal, changes, expected):
    assert expected in refusal(store(**changes))


@pytest.mark.parametrize(
    "names",
    [("x_train", "y_train", "x_test", "y_test"), ("train_images", "train_labels", "test_images", "test_labels")],
)
def test_test_examples_of_another_shape(tmp_path, refusal, names):
    arrays_in_order = (np.zeros((2, 4, 4)), [0, 1], np.zeros((1, 4, 5)), [0])
    np.savez(tmp_path / "mine.npz", **dict(zip(names, arrays_in_order, strict=True)))
    message = refusal(tmp_path / "mine.npz")
    assert message.startswith(f"'{names[2]}' in ")
    assert message.endswith(f"must hold examples of shape [4, 4, 1] as '{names[0]}', got [4, 5, 1]")


def test_a_share_of_what_is_divided_already(tmp_path, refusal):
    parts = {"x_train": np.zeros((2, 4, 4)), "y_train": [0, 1], "x_test": np.zeros((1, 4, 4)), "y_test": [0]}
    np.savez(tmp_path / "mine.npz", **parts)
    expected = "which has test examples of its own, got 0.3"
    assert expected in refusal(tmp_path / "mine.npz", test_fraction=0.3)


def write_members(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def npy_bytes(shape, content, descr="|u1"):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"shape": shape, "fortran_order": False, "descr": descr})
    return header.getvalue() + content


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((2**40, 2**10, 2**10), "2,147,483,648 bytes in all, got shape [1099511627776, 1024, 1024]"),
        ((1000, 1024, 1024), "must hold 1048576000 bytes after its header, as that says, got 33554432"),
        ((4, 2, 2), "must hold 16 bytes after its header, as that says, got 33554432"),
        ((-4, -4), "must hold 16 bytes after its header, as that says, got 33554432"),
    ],
)
def test_a_zip_bomb_is_not_unpacked(tmp_path, refusal, shape, expected):
    path = write_members(
        tmp_path / "mine.npz", images=npy_bytes(shape, bytes(2**25)), labels=npy_bytes((4,), b"\0" * 4)
    )
    tracemalloc.start()
    try:
        assert expected in refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


def test_an_archive_whose_reader_gives_no_reason(store, refusal, monkeypatch):
    def refuse(*_):
        raise EOFError

    monkeypatch.setattr(zipfile.ZipFile, "namelist", refuse)
    assert refusal(store()).endswith("must be a whole NPZ file, got one that cannot be read: EOFError")


def test_another_version_of_the_format(tmp_path, refusal):
    member = bytearray(npy_bytes((4, 2, 2), bytes(16)))
    member[6] = 3
    path = write_members(tmp_path / "mine.npz", images=bytes(member), labels=npy_bytes((4,), bytes(4)))
    assert "must have version 1.0 or 2.0 of the NPY format, got 3.0" in refusal(path)


def test_a_header_that_is_too_long(tmp_path, refusal):
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (4, 2, 2), }".ljust(20_000) + b"\n"
    member = np.lib.format.magic(1, 0) + len(header).to_bytes(2, "little") + header + bytes(16)
    path = write_members(tmp_path / "mine.npz", images=member, labels=npy_bytes((4,), bytes(4)))
    assert "mine.npz must be a whole NPZ file, got one that cannot be read: Header info length" in refusal(path)


def test_a_file_that_is_no_archive(tmp_path, refusal):
    np.save(tmp_path / "mine.npy", np.zeros(3))
    assert "mine.npy must be a whole NPZ file, got one that cannot be read" in refusal(tmp_path / "mine.npy")
    assert "nowhere must be an NPZ file, got no such file" in refusal(tmp_path / "nowhere")
    assert "must be an NPZ file, got a folder" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"width": 0}, "width must be from 1 to 1024 pixels, got 0"),
        ({"test_fraction": float("nan")}, "test_fraction must be greater than 0"),
        ({"name": "digits"}, "which already exists in this package"),
    ],
)
def test_a_bad_request(store, refusal, options, expected):
    assert expected in refusal(store(), **options)


def test_a_file_name_that_is_no_utf8(store, tmp_path):
    path = store().rename(tmp_path / os.fsdecode(b"mine\xff.npz"))
    import_npz(path, "mine")
    assert load("mine").source == r"an NPZ file called 'mine\udcff.npz'"


def test_names_of_medmnist_and_boolean_masks(tmp_path):
    masks = np.arange(6 * 4 * 4).reshape(6, 4, 4) % 3 == 0
    labels = np.arange(6, dtype=np.uint8)[:, None] % 2
    parts = {
        f"{part}_{kind}": value
        for part in ("train", "val", "test")
        for kind, value in (("images", masks), ("labels", labels))
    }
    np.savez(tmp_path / "pneumoniamnist.npz", **parts)
    dataset = import_npz(tmp_path / "pneumoniamnist.npz", "masks")
    assert (len(dataset.train), len(dataset.test)) == (6, 6)
    found = {picture.tobytes() for picture in dataset.train.examples}
    assert found == {(255 * mask.astype(np.uint8)).tobytes() for mask in masks}
