from __future__ import annotations

import json
import os
import struct

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tiny_datasets import DatasetError, LatentDataset, import_latents, load, names
from tiny_datasets.latents import is_scale

RANGE = "a number from 1.2e-38 to 3.4e+38, the range of float32"


@pytest.fixture
def store(tmp_path, latent_tensors):
    """Write the good file with some of its tensors replaced, or removed where None."""

    def write(metadata=None, **changes):
        tensors = {name: value for name, value in (latent_tensors | changes).items() if value is not None}
        path = tmp_path / "codes.safetensors"
        safetensors.numpy.save_file(tensors, path, {"scale": "0.18215"} if metadata is None else metadata)
        return path

    return write


@pytest.fixture
def refusal(home):
    """Import a file that must be refused, and return the sentence."""

    def refused(path, name="codes", **options):
        with pytest.raises(DatasetError) as error:
            import_latents(path, name, **options)
        assert "\n" not in str(error.value)
        assert not home.exists()
        return str(error.value)

    return refused


def test_latents_and_scale_come_through(store, latent_tensors):
    made = import_latents(store(), "codes")
    stored = load("codes")
    for dataset in (made, stored):
        assert isinstance(dataset, LatentDataset)
        assert dataset.name == "codes"
        assert dataset.kind == "latents"
        assert dataset.classes == ("0", "1")
        assert dataset.scale == 0.18215
        assert dataset.train.examples.shape == (8, 2, 2, 4)
        assert dataset.test.examples.shape == (2, 2, 2, 4)
        assert dataset.train.examples.dtype == dataset.test.examples.dtype == np.float32
        assert dataset.train.labels.dtype == dataset.test.labels.dtype == np.int64
        assert dataset.description == "10 latents of 2x2x4 numbers, in 2 classes."
        assert dataset.licence == "not stated"
        assert dataset.source == "a file of latents called 'codes.safetensors'"
    for part in ("train", "test"):
        assert np.array_equal(getattr(made, part).examples, getattr(stored, part).examples)
        assert np.array_equal(getattr(made, part).labels, getattr(stored, part).labels)
    both = np.concatenate([stored.train.examples, stored.test.examples])
    assert np.array_equal(both[np.argsort(both[:, 0, 0, 0])], latent_tensors["latents"])


def test_every_latent_keeps_its_label(store):
    latents = np.arange(10, dtype=np.float32).reshape(10, 1, 1, 1)
    dataset = import_latents(store(latents=latents), "codes", test_fraction=0.4)
    assert len(dataset.test) == 4
    for split in (dataset.train, dataset.test):
        assert np.array_equal(split.examples.ravel() % 2, split.labels)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    latents=arrays.arrays(
        np.float32,
        st.tuples(*[st.integers(least, 5) for least in (2, 1, 1, 1)]),
        elements=st.floats(-(2.0**50), 2.0**50, width=32),
    ),
    spread=st.floats(0.001, 1000, exclude_min=True, exclude_max=True),
)
def test_every_bit_of_every_number_comes_back(tmp_path_factory, latents, spread):
    deviation = np.std(latents, dtype=np.float64)
    scale = float(spread / deviation) if deviation else 0.0
    assume(is_scale(scale) and 0.001 <= scale * float(deviation) <= 1000)
    folder = tmp_path_factory.mktemp("bits")
    labels = np.zeros(len(latents), np.int64)
    safetensors.numpy.save_file({"latents": latents, "labels": labels}, folder / "file")
    import_latents(folder / "file", "codes", scale=scale, home=folder / "home")
    stored = load("codes", folder / "home")
    assert isinstance(stored, LatentDataset)
    assert stored.scale == scale
    both = np.concatenate([stored.train.examples, stored.test.examples])
    assert sorted(example.tobytes() for example in both) == sorted(example.tobytes() for example in latents)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_every_floating_point_dtype_will_do(store, latent_tensors, dtype):
    dataset = import_latents(store(latents=latent_tensors["latents"].astype(dtype)), "codes")
    assert dataset.train.examples.dtype == np.float32


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_every_integer_dtype_of_labels_will_do(store, latent_tensors, dtype):
    dataset = import_latents(store(labels=latent_tensors["labels"].astype(dtype)), "codes")
    assert dataset.train.labels.dtype == np.int64


@pytest.mark.parametrize("metadata", [{"scale": "0.5"}, {"scale": "none"}, {}])
def test_the_scale_argument_wins_over_the_file(store, metadata):
    import_latents(store(metadata), "codes", scale=0.25)
    dataset = load("codes")
    assert isinstance(dataset, LatentDataset)
    assert dataset.scale == 0.25


@pytest.mark.parametrize("scale", [2, np.float32(0.5), np.float64(0.5)])
def test_any_kind_of_number_is_a_scale(store, scale):
    assert type(import_latents(store(), "codes", scale=scale).scale) is float
    dataset = load("codes")
    assert isinstance(dataset, LatentDataset)
    assert dataset.scale == scale


@pytest.mark.parametrize("text", ["1", "0.18215", "1e-3", "3e2"])
def test_the_file_may_tell_the_scale(store, text):
    assert import_latents(store({"scale": text}), "codes").scale == float(text)


def test_metadata_may_tell_of_classes_that_do_not_occur(store):
    assert import_latents(store({"scale": "1", "classes": '["a", "b", "c"]'}), "codes").classes == ("a", "b", "c")


def test_a_path_may_be_text(store):
    import_latents(str(store()), "codes")
    assert "codes" in names()


@pytest.mark.parametrize("metadata", [{}, {"classes": '["a", "b"]'}])
def test_no_scale_at_all(store, refusal, metadata):
    message = refusal(store(metadata))
    assert "codes.safetensors must have metadata 'scale' when no scale is passed to the import" in message
    assert f"got only {', '.join(metadata) or 'none'}; pass the factor" in message


@pytest.mark.parametrize("scale", [0, -0.18215, 1e-40, 1e39, float("nan"), float("inf"), -float("inf")])
def test_a_scale_that_is_no_factor(store, refusal, scale):
    assert refusal(store(), scale=scale) == f"scale must be {RANGE}, got {scale}"


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "inf", "1e400", "1e-400", "0,5", "one", "1\n2"])
def test_metadata_that_is_no_factor(store, refusal, text):
    message = refusal(store({"scale": text}))
    assert "metadata 'scale' in" in message
    assert f"codes.safetensors must be {RANGE}, got {text!r}" in message


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not safetensors at all", b"\xff" * 64])
def test_not_a_safetensors_file(tmp_path, refusal, content):
    (tmp_path / "codes.npz").write_bytes(content)
    assert "codes.npz must be a whole safetensors file, got one that cannot be read" in refusal(tmp_path / "codes.npz")


def test_a_truncated_file(store, refusal):
    path = store()
    path.write_bytes(path.read_bytes()[:-1])
    assert "codes.safetensors must be a whole safetensors file" in refusal(path)


def test_no_file(tmp_path, refusal):
    assert "must be a safetensors file, got no such file" in refusal(tmp_path / "nowhere")
    assert "must be a safetensors file, got a folder" in refusal(tmp_path)


@pytest.mark.parametrize(("missing", "found"), [("latents", "labels"), ("labels", "latents")])
def test_a_missing_tensor(store, refusal, missing, found):
    assert f"must hold a tensor '{missing}', got {found}" in refusal(store(**{missing: None}))


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_latents_that_are_not_floating_point(store, latent_tensors, refusal, dtype):
    message = refusal(store(latents=latent_tensors["latents"].astype(dtype)))
    assert "'latents' in" in message
    assert f"must have floating-point values, got {dtype}" in message


@pytest.mark.parametrize("dtype", ["float32", "bool"])
def test_labels_that_are_no_integers(store, latent_tensors, refusal, dtype):
    message = refusal(store(labels=latent_tensors["labels"].astype(dtype)))
    assert "'labels' in" in message
    assert f"must have integer values, got {dtype}" in message


def test_a_dtype_that_numpy_does_not_have(tmp_path, refusal):
    entries = {
        "latents": {"dtype": "BF16", "shape": [2, 1, 1, 1], "data_offsets": [0, 4]},
        "labels": {"dtype": "U8", "shape": [2], "data_offsets": [4, 6]},
    }
    header = json.dumps(entries).encode()
    (tmp_path / "file").write_bytes(struct.pack("<Q", len(header)) + header + bytes(6))
    message = refusal(tmp_path / "file", scale=1)
    assert "'latents' in" in message
    assert "must have a dtype NumPy can read, got BF16" in message


@pytest.mark.parametrize("shape", [(10,), (10, 16), (10, 4, 4), (10, 1, 2, 2, 4)])
def test_latents_of_another_rank(store, refusal, shape):
    message = refusal(store(latents=np.zeros(shape, np.float32)))
    assert "'latents' in" in message
    assert f"must have 4 axes, got shape {list(shape)}" in message


def test_labels_of_another_rank(store, refusal):
    message = refusal(store(labels=np.zeros((10, 1), np.int64)))
    assert "must have 1 axes, got shape [10, 1]" in message


@pytest.mark.parametrize("count", [0, 9, 11])
def test_latents_and_labels_of_different_counts(store, refusal, count):
    message = refusal(store(labels=np.zeros(count, np.int64)))
    assert f"must hold one label for each of its 10 examples, got {count}" in message


@pytest.mark.parametrize("shape", [(0, 2, 2, 4), (1, 2, 2, 4), (5, 0, 2, 4), (5, 2, 2, 0)])
def test_too_few_examples(store, refusal, shape):
    message = refusal(store(latents=np.zeros(shape, np.float32), labels=np.zeros(shape[0], np.int64)))
    assert f"must hold 2 or more examples of at least one number, got shape {list(shape)}" in message


def test_no_class_with_two_examples(store, refusal):
    message = refusal(store(latents=np.zeros((2, 1, 1, 1), np.float32), labels=np.arange(2)))
    assert "must hold 2 or more examples of some class" in message


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_latents_that_are_not_finite(store, latent_tensors, refusal, value, dtype):
    latents = latent_tensors["latents"].astype(dtype)
    latents[3, 1, 0, 2] = value
    message = refusal(store(latents=latents))
    assert "'latents' in" in message
    assert "must hold finite float32 numbers, got a NaN or an infinity" in message


def test_latents_too_large_for_float32(store, latent_tensors, refusal):
    message = refusal(store(latents=latent_tensors["latents"].astype(np.float64) * 1e300))
    assert "must hold finite float32 numbers" in message


def test_negative_labels(store, refusal):
    assert "must hold values from 0 to 0, got -1" in refusal(store(labels=np.array([0, -1] * 5)))


def test_labels_beyond_the_classes(store, refusal):
    message = refusal(store({"scale": "1", "classes": '["a"]'}))
    assert "'labels' in" in message
    assert "must hold values from 0 to 0, got 1" in message


def test_labels_beyond_reason(store, refusal):
    assert "must hold values from 0 to 65535, got 1000000000000" in refusal(store(labels=np.array([0, 10**12] * 5)))


@pytest.mark.parametrize("text", ["", "no json", "[" * 100_000])
def test_classes_that_are_no_json(store, refusal, text):
    message = refusal(store({"scale": "1", "classes": text}))
    assert "'classes' in" in message
    assert "must be a JSON list of names, got no JSON" in message


@pytest.mark.parametrize("value", ["two", [], [1, 2], ["a", "a"]])
def test_classes_that_are_no_names(store, refusal, value):
    message = refusal(store({"scale": "1", "classes": json.dumps(value)}))
    assert f"must be a list of different names, got {value!r}" in message


@pytest.mark.parametrize("fraction", [0, 1, float("nan")])
def test_a_bad_fraction(store, refusal, fraction):
    assert "test_fraction" in refusal(store(), test_fraction=fraction)


def test_a_bad_name(store, refusal):
    assert "name must be" in refusal(store(), name="Codes")
    assert "'shapes', which already exists in this package" in refusal(store(), name="shapes")


def test_a_name_is_taken_once(store, home):
    first = import_latents(store(), "codes", scale=1)
    with pytest.raises(DatasetError, match="'codes', which already exists in"):
        import_latents(store(), "codes", scale=2)
    assert [entry.name for entry in home.iterdir()] == ["codes"]
    stored = load("codes")
    assert isinstance(stored, LatentDataset)
    assert stored.scale == first.scale == 1


def test_an_import_that_fails_while_writing_leaves_nothing(store, home, monkeypatch):
    def refuse(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors.numpy, "save", refuse)
    with pytest.raises(DatasetError, match="must be a folder to write to, got No space left on device"):
        import_latents(store(), "codes")
    assert list(home.iterdir()) == []


def test_a_file_name_that_is_no_utf8(store, tmp_path):
    path = store().rename(tmp_path / os.fsdecode(b"codes\xff.safetensors"))
    import_latents(path, "codes")
    assert load("codes").source == r"a file of latents called 'codes\udcff.safetensors'"


def test_a_class_whose_name_cannot_be_printed(store, refusal):
    message = refusal(store({"scale": "1", "classes": json.dumps(["a", "\ud800"])}))
    assert message.endswith(r"must hold names in UTF-8 on one line, got ['a', '\ud800']")


@pytest.mark.parametrize("scale", [1e19, 1e-37, 3e38, 1e-4, 1e3])
def test_a_scale_that_does_not_fit_the_latents(store, latent_tensors, refusal, scale):
    deviation = np.std(latent_tensors["latents"])
    message = refusal(store({}), scale=scale)
    assert "scale must bring the standard deviation of the latents in" in message
    assert message.endswith(f"to about 1, at least into 0.001 … 1000, got {scale:.6g} times {deviation:.3g}")
    assert "scale must bring the standard deviation" in refusal(store({"scale": str(scale)}))


@pytest.mark.parametrize("latents", [np.full((10, 1, 1, 1), 3.0), np.linspace(1, 2, 10).reshape(10, 1, 1, 1) * 1e-50])
def test_latents_that_are_all_the_same_number(store, refusal, latents):
    """In float32 they are."""
    assert refusal(store(latents=latents)).endswith("got 0.18215 times 0")


@pytest.mark.parametrize(("spread", "remarked"), [(1.0, False), (2.7, False), (0.4, False), (3.4, True), (0.28, True)])
def test_a_doubtful_scale_has_a_remark(store, latent_tensors, spread, remarked):
    latents = latent_tensors["latents"]
    import_latents(store(latents=latents), "codes", scale=spread / float(np.std(latents)), test_fraction=0.1)
    remarks = " ".join(load("codes").remarks)
    assert ("Latents times the scale have a standard deviation of " in remarks) == remarked
