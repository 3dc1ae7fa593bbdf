from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import safetensors.numpy

from tiny_datasets import DatasetError, TokenDataset, import_tokens, load, names


@pytest.fixture
def store(tmp_path, token_tensors):
    """Write the good file with some of its tensors replaced, or removed where None."""

    def write(metadata=None, **changes):
        tensors = {name: value for name, value in (token_tensors | changes).items() if value is not None}
        path = tmp_path / "grids.safetensors"
        default = {"patch_size": "2"} if "codebook" in tensors else {}
        safetensors.numpy.save_file(tensors, path, default | (metadata or {}))
        return path

    return write


@pytest.fixture
def refusal(home):
    """Import a file that must be refused, and return the sentence."""

    def refused(path, name="grids", **options):
        with pytest.raises(DatasetError) as error:
            import_tokens(path, name, **options)
        assert "\n" not in str(error.value)
        assert not home.exists()
        return str(error.value)

    return refused


def test_tokens_and_codebook_come_through(store, token_tensors):
    made = import_tokens(store(), "grids")
    stored = load("grids")
    for dataset in (made, stored):
        assert isinstance(dataset, TokenDataset)
        assert dataset.name == "grids"
        assert dataset.kind == "tokens"
        assert dataset.classes == ("0", "1")
        assert dataset.codebook_size == 6
        assert dataset.patch_size == 2
        assert dataset.codebook is not None
        assert dataset.codebook.dtype == np.float32
        assert np.array_equal(dataset.codebook, token_tensors["codebook"].astype(np.float32))
        assert dataset.train.examples.shape == (8, 2, 3)
        assert dataset.test.examples.shape == (2, 2, 3)
        assert dataset.train.examples.dtype == dataset.train.labels.dtype == np.int64
        assert dataset.description == "10 grids of 2x3 tokens out of 6, in 2 classes."
        assert dataset.licence == "not stated"
        assert dataset.source == "a file of tokens called 'grids.safetensors'"
    assert np.array_equal(made.train.examples, stored.train.examples)
    assert np.array_equal(made.test.labels, stored.test.labels)


def test_every_grid_keeps_its_label(store):
    tokens = np.arange(10).reshape(10, 1, 1)
    dataset = import_tokens(store(tokens=tokens, codebook=None), "grids", test_fraction=0.4)
    for split in (dataset.train, dataset.test):
        assert np.array_equal(split.examples.ravel() % 2, split.labels)
    assert sorted([*dataset.train.examples.ravel(), *dataset.test.examples.ravel()]) == list(range(10))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_every_integer_dtype_will_do(store, token_tensors, dtype):
    changed = {name: token_tensors[name].astype(dtype) for name in ("tokens", "labels")}
    assert import_tokens(store(**changed), "grids").train.examples.dtype == np.int64


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_every_floating_point_codebook_will_do(store, token_tensors, dtype):
    dataset = import_tokens(store(codebook=token_tensors["codebook"].astype(dtype)), "grids")
    assert dataset.codebook is not None
    assert dataset.codebook.dtype == np.float32


def test_a_codebook_in_colour(store):
    dataset = import_tokens(store(codebook=np.ones((6, 12), np.float32)), "grids")
    assert dataset.codebook is not None
    assert dataset.codebook.shape == (6, 12)


def test_without_a_codebook_the_greatest_token_tells_its_size(store):
    dataset = import_tokens(store(codebook=None), "grids")
    assert (dataset.codebook_size, dataset.codebook, dataset.patch_size) == (6, None, None)


def test_metadata_may_tell_of_codes_and_classes_that_do_not_occur(store):
    metadata = {"codebook_size": "1024", "classes": json.dumps(["a", "b", "c"])}
    import_tokens(store(metadata, codebook=None), "grids")
    dataset = load("grids")
    assert isinstance(dataset, TokenDataset)
    assert dataset.codebook_size == 1024
    assert dataset.classes == ("a", "b", "c")


def test_a_path_may_be_text(store):
    import_tokens(str(store()), "grids")
    assert "grids" in names()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not safetensors at all", b"\xff" * 64])
def test_not_a_safetensors_file(tmp_path, refusal, content):
    (tmp_path / "tokens.npz").write_bytes(content)
    assert "tokens.npz must be a whole safetensors file, got one that cannot be read" in refusal(
        tmp_path / "tokens.npz"
    )


def test_a_truncated_file(store, refusal):
    path = store()
    path.write_bytes(path.read_bytes()[:-1])
    assert "grids.safetensors must be a whole safetensors file" in refusal(path)


def test_no_file(tmp_path, refusal):
    assert "must be a safetensors file, got no such file" in refusal(tmp_path / "nowhere")
    assert "must be a safetensors file, got a folder" in refusal(tmp_path)


def test_a_missing_tensor(store, refusal):
    assert "must hold a tensor 'labels', got codebook, tokens" in refusal(store(labels=None))


def test_no_tensors_at_all(tmp_path, refusal):
    (tmp_path / "file").write_bytes(struct.pack("<Q", 8) + b"{}      ")
    assert "must hold a tensor 'tokens', got none at all" in refusal(tmp_path / "file")


@pytest.mark.parametrize("dtype", ["float32", "bool"])
@pytest.mark.parametrize("name", ["tokens", "labels"])
def test_values_that_are_no_integers(store, token_tensors, refusal, name, dtype):
    message = refusal(store(**{name: token_tensors[name].astype(dtype)}))
    assert f"'{name}' in" in message
    assert f"must have integer values, got {dtype}" in message


def test_a_dtype_that_numpy_does_not_have(tmp_path, refusal):
    entry = {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}
    header = json.dumps({"tokens": entry, "labels": entry | {"data_offsets": [4, 8]}}).encode()
    (tmp_path / "file").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    assert "'tokens' in" in refusal(tmp_path / "file")
    assert "must have a dtype NumPy can read, got BF16" in refusal(tmp_path / "file")


@pytest.mark.parametrize("shape", [(10,), (10, 6), (10, 2, 2, 2, 2)])
def test_tokens_of_another_rank(store, refusal, shape):
    message = refusal(store(tokens=np.zeros(shape, np.int64)))
    assert "'tokens' in" in message
    assert "must have the 3 axes [count, rows, columns] or the 4 axes [count, frames, rows, columns]" in message
    assert f"got shape {list(shape)}" in message


@pytest.mark.parametrize(("metadata", "frames"), [({}, 1), ({"patch_frames": "2"}, 2)])
def test_tokens_of_clips_come_through(store, metadata, frames):
    tokens = np.arange(10 * 12).reshape(10, 3, 2, 2) % 6
    codebook = np.linspace(0, 1, 6 * frames * 4, dtype=np.float32).reshape(6, -1)
    made = import_tokens(store(metadata, tokens=tokens, codebook=codebook), "grids")
    stored = load("grids")
    for dataset in (made, stored):
        assert isinstance(dataset, TokenDataset)
        assert (dataset.patch_size, dataset.patch_frames) == (2, frames)
        assert dataset.codebook is not None
        assert np.array_equal(dataset.codebook, codebook)
        assert dataset.train.examples.shape == (8, 3, 2, 2)
        assert dataset.description == "10 grids of 3x2x2 tokens out of 6, in 2 classes."
        grids = [*dataset.train.examples, *dataset.test.examples]
        assert sorted(grid.tobytes() for grid in grids) == sorted(grid.tobytes() for grid in tokens)


def test_tokens_of_clips_without_a_codebook(store):
    import_tokens(store(tokens=np.zeros((10, 3, 2, 2), np.int64), codebook=None), "grids")
    dataset = load("grids")
    assert isinstance(dataset, TokenDataset)
    assert (dataset.codebook, dataset.patch_size, dataset.patch_frames) == (None, None, 1)
    assert dataset.test.examples.shape == (2, 3, 2, 2)


def test_a_codebook_of_other_tubelets(store, refusal):
    tokens = np.zeros((10, 3, 2, 2), np.int64)
    message = refusal(store({"patch_frames": "3"}, tokens=tokens))
    assert "must have 12 (grey) or 36 (colour) columns for patches of 3 frames of 2x2 pixels, got 4" in message


def test_frames_of_a_picture(store, refusal):
    message = refusal(store({"patch_frames": "2"}))
    assert "metadata 'patch_frames' in" in message
    assert "must be 1 for tokens without an axis of frames, got 2" in message


def test_labels_of_another_rank(store, refusal):
    message = refusal(store(labels=np.zeros((10, 1), np.int64)))
    assert "must have 1 axes, got shape [10, 1]" in message


def test_tokens_and_labels_of_different_counts(store, refusal):
    message = refusal(store(labels=np.zeros(9, np.int64)))
    assert "must hold one label for each of its 10 examples, got 9" in message


@pytest.mark.parametrize("shape", [(0, 2, 2), (1, 2, 2), (5, 0, 2)])
def test_too_few_examples(store, refusal, shape):
    message = refusal(store(tokens=np.zeros(shape, np.int64), labels=np.zeros(shape[0], np.int64)))
    assert f"must hold 2 or more examples of at least one token, got shape {list(shape)}" in message


def test_no_class_with_two_examples(store, refusal):
    message = refusal(store(tokens=np.zeros((2, 1, 1), np.int64), labels=np.arange(2)))
    assert "must hold 2 or more examples of some class" in message


def test_negative_tokens(store, token_tensors, refusal):
    message = refusal(store(tokens=token_tensors["tokens"] - 1))
    assert "'tokens' in" in message
    assert "must hold values from 0 to 5, got -1" in message


def test_only_negative_tokens(store, token_tensors, refusal):
    assert "values from 0 to 0, got -6" in refusal(store(tokens=token_tensors["tokens"] - 6, codebook=None))


def test_tokens_beyond_the_codebook(store, token_tensors, refusal):
    assert "must hold values from 0 to 5, got 6" in refusal(store(tokens=token_tensors["tokens"] + 1))


def test_tokens_beyond_the_codebook_size(store, refusal):
    assert "must hold values from 0 to 3, got 5" in refusal(store({"codebook_size": "4"}, codebook=None))


def test_tokens_beyond_reason(store, token_tensors, refusal):
    tokens = token_tensors["tokens"].astype(np.uint64) + np.uint64(2**63)
    assert f"must hold values from 0 to {2**24 - 1}, got 9223372036854775813" in refusal(
        store(tokens=tokens, codebook=None)
    )


def test_negative_labels(store, refusal):
    message = refusal(store(labels=np.array([0, -1] * 5)))
    assert "'labels' in" in message
    assert "must hold values from 0 to 0, got -1" in message


def test_labels_beyond_the_classes(store, refusal):
    message = refusal(store({"classes": '["a"]'}))
    assert "'labels' in" in message
    assert "must hold values from 0 to 0, got 1" in message


def test_labels_beyond_reason(store, refusal):
    assert "must hold values from 0 to 65535, got 1000000000000" in refusal(store(labels=np.array([0, 10**12] * 5)))


@pytest.mark.parametrize("text", ["", "no json", "[" * 100_000])
def test_classes_that_are_no_json(store, refusal, text):
    message = refusal(store({"classes": text}))
    assert "'classes' in" in message
    assert "must be a JSON list of names, got no JSON" in message


@pytest.mark.parametrize("value", ["two", 2, [], [1, 2], ["a", "a"]])
def test_classes_that_are_no_names(store, refusal, value):
    message = refusal(store({"classes": json.dumps(value)}))
    assert "must be a list of different names" in message
    assert f"got {value!r}" in message


@pytest.mark.parametrize("text", ["", "0", "-6", "6.0", "six", "9" * 9, "99999999", "٦"])
@pytest.mark.parametrize("key", ["codebook_size", "patch_size", "patch_frames"])
def test_numbers_that_are_no_numbers(store, refusal, key, text):
    message = refusal(store({key: text}))
    assert f"metadata '{key}' in" in message
    assert f"must be a whole number from 1 to 16777216, got '{text}'" in message


def test_a_codebook_without_a_patch_size(tmp_path, token_tensors, refusal):
    safetensors.numpy.save_file(token_tensors, tmp_path / "file")
    assert "must have metadata 'patch_size', got only none" in refusal(tmp_path / "file")


def test_a_codebook_of_integers(store, refusal):
    message = refusal(store(codebook=np.zeros((6, 4), np.int64)))
    assert "'codebook' in" in message
    assert "must have floating-point values, got int64" in message


def test_a_codebook_of_another_rank(store, refusal):
    message = refusal(store(codebook=np.zeros((6, 2, 2), np.float32)))
    assert "must have 2 axes, got shape [6, 2, 2]" in message


def test_a_codebook_of_another_size(store, refusal):
    message = refusal(store({"codebook_size": "7"}))
    assert "must have one row for each of 7 codes, got 6 rows" in message


def test_a_codebook_of_other_patches(store, refusal):
    message = refusal(store({"patch_size": "3"}))
    assert "must have 9 (grey) or 27 (colour) columns for patches of 3x3 pixels, got 4" in message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_a_codebook_of_numbers_that_are_none(store, token_tensors, refusal, value):
    token_tensors["codebook"][3, 2] = value
    assert "must hold finite float32 numbers, got a NaN or an infinity" in refusal(store())


@pytest.mark.parametrize(("least", "most"), [(0, 255), (-1, 1), (0, 1.6)])
def test_a_codebook_of_another_range(store, refusal, least, most):
    codebook = np.linspace(least, most, 24).reshape(6, 4)
    expected = f"must hold patches from 0 black to 1 white, got values from {least:.3g} to {most:.3g}"
    assert expected in refusal(store(codebook=codebook))


@pytest.mark.parametrize(("least", "most", "remarked"), [(0, 1, False), (-0.04, 1.04, False), (-0.4, 1, True)])
def test_a_codebook_that_reaches_a_little_beyond(store, least, most, remarked):
    import_tokens(store(codebook=np.linspace(least, most, 24).reshape(6, 4)), "grids")
    expected = f"The codebook's values reach from {least:.2f} to {most:.2f}, and 0 is black and 1 is white"
    assert (expected in " ".join(load("grids").remarks)) == remarked


def test_a_bad_fraction(store, refusal):
    assert "test_fraction" in refusal(store(), test_fraction=1)


def test_a_bad_name(store, refusal):
    assert "name must be" in refusal(store(), name="Grids")
    assert "'digits', which already exists in this package" in refusal(store(), name="digits")
