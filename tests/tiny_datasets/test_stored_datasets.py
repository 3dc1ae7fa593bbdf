"""A dataset on disk that was damaged since it was imported is refused in one sentence."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import safetensors.numpy

from tiny_datasets import (
    ClipDataset,
    DatasetError,
    LatentDataset,
    Motions,
    PictureDataset,
    Split,
    TokenDataset,
    import_latents,
    import_pictures,
    import_tokens,
    load,
)
from tiny_datasets.stored import read_dataset, write_dataset


@pytest.fixture
def pets(picture_folder, home):
    import_pictures(picture_folder, "pets")
    return home / "pets"


@pytest.fixture
def grids(token_tensors, tmp_path, home):
    safetensors.numpy.save_file(token_tensors, tmp_path / "grids.safetensors", {"patch_size": "2"})
    import_tokens(tmp_path / "grids.safetensors", "grids")
    return home / "grids"


@pytest.fixture
def codes(latent_tensors, tmp_path, home):
    safetensors.numpy.save_file(latent_tensors, tmp_path / "codes.safetensors")
    import_latents(tmp_path / "codes.safetensors", "codes", scale=0.5)
    return home / "codes"


def change_metadata(folder, **changes):
    """Set fields of a stored dataset's metadata, or remove those that are None."""
    path = folder / "dataset.json"
    fields = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in fields.items() if value is not None}))


def change_tensors(folder, **changes):
    path = folder / "dataset.safetensors"
    tensors = safetensors.numpy.load(path.read_bytes()) | changes
    path.write_bytes(safetensors.numpy.save({name: value for name, value in tensors.items() if value is not None}))


def refusal(folder):
    with pytest.raises(DatasetError) as error:
        load(folder.name)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray])
def test_what_is_written_is_read(tmp_path, layout):
    pictures = layout(np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4, 1))
    split = Split(pictures, np.array([1, 0]))
    about = {"classes": ("a", "ä"), "description": "d", "licence": "l", "source": "s"}
    write_dataset(tmp_path, PictureDataset(name="any", train=split, test=split, white=30, **about))
    stored = read_dataset(tmp_path)
    assert isinstance(stored, PictureDataset)
    assert stored.name == tmp_path.name
    assert stored.white == 30
    assert {field: getattr(stored, field) for field in about} == about
    for part in (stored.train, stored.test):
        assert np.array_equal(part.examples, pictures)
        assert part.labels.tolist() == [1, 0]


def test_clips_are_read_without_their_motions(tmp_path):
    clips = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5, 1)
    split, motions = Split(clips, np.array([1, 0])), np.array([0, 1])
    write_dataset(
        tmp_path,
        ClipDataset(
            name="any",
            train=split,
            test=split,
            classes=("a", "b"),
            description="d",
            licence="l",
            source="s",
            white=200,
            motions=Motions(("up", "down"), motions, motions),
            find_motions=lambda clips: np.zeros(len(clips), np.int64),
        ),
    )
    stored = read_dataset(tmp_path)
    assert isinstance(stored, ClipDataset)
    assert stored.kind == "clips"
    assert (stored.white, stored.motions, stored.find_motions) == (200, None, None)
    for part in (stored.train, stored.test):
        assert np.array_equal(part.examples, clips)
        assert part.labels.tolist() == [1, 0]
        assert not part.examples.flags.writeable


def test_the_labels_of_motions_are_read_only():
    own = np.array([0, 1])
    motions = Motions(("up", "down"), own, own)
    for labels in (motions.train, motions.test):
        with pytest.raises(ValueError, match="read-only"):
            labels[0] = 1
    own[0] = 1  # the caller's own array stays the caller's


def test_missing_metadata(pets):
    (pets / "dataset.json").unlink()
    assert "dataset.json must be the metadata of a dataset, got no such file" in refusal(pets)


def test_missing_tensors(pets):
    (pets / "dataset.safetensors").unlink()
    assert "dataset.safetensors must be a safetensors file, got no such file" in refusal(pets)


@pytest.mark.parametrize("kept", [0, 7, 100, -1])
def test_truncated_tensors(pets, kept):
    path = pets / "dataset.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    assert "dataset.safetensors must be a whole safetensors file, got one that cannot be read" in refusal(pets)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000])
def test_metadata_that_is_no_json(pets, content):
    (pets / "dataset.json").write_bytes(content)
    assert "dataset.json must be JSON, got something else" in refusal(pets)


def test_metadata_that_is_no_object(pets):
    (pets / "dataset.json").write_text("[1]")
    assert "dataset.json must hold a JSON object, got [1]" in refusal(pets)


@pytest.mark.parametrize("schema", [2, "1"])
def test_another_schema(pets, schema):
    change_metadata(pets, schema=schema)
    assert f"dataset.json must be 1, got {schema!r}" in refusal(pets)


def test_another_kind(pets):
    change_metadata(pets, kind="sounds")
    assert "dataset.json must be 'pictures', 'clips', 'tokens' or 'latents', got 'sounds'" in refusal(pets)


@pytest.mark.parametrize("field", ["schema", "kind", "classes", "description", "licence", "source", "white"])
def test_a_missing_field(pets, field):
    change_metadata(pets, **{field: None})
    assert f"dataset.json must have a field '{field}', got only" in refusal(pets)


@pytest.mark.parametrize("field", ["kind", "description", "licence", "source"])
def test_a_text_that_is_no_text(pets, field):
    change_metadata(pets, **{field: 5})
    assert f"'{field}' in {pets / 'dataset.json'} must be a text, got 5" in refusal(pets)


@pytest.mark.parametrize("white", [0, -1, 1.5, True, "16", 256, 10**30, pytest.param(10**400, id="huge")])
def test_a_count_that_is_no_count(pets, white):
    change_metadata(pets, white=white)
    assert f"must be a whole number from 1 to 255, got {white!r:.50}" in refusal(pets)


@pytest.mark.parametrize("classes", [[], "cats", [1, 2], ["", "dogs"], ["cats", "cats"], {"cats": 1}])
def test_classes_that_are_no_names(pets, classes):
    change_metadata(pets, classes=classes)
    assert "must be a list of different names" in refusal(pets)
    assert f"got {classes!r}" in refusal(pets)


@pytest.mark.parametrize("field", ["codebook_size", "patch_size", "patch_frames"])
def test_sizes_of_a_codebook_beyond_reason(films, field):
    """Products of such numbers have more digits than Python prints."""
    change_metadata(films, **{field: 10**3000})
    assert f"'{field}' in" in refusal(films)
    assert "must be a whole number from 1 to 16777216, got 1000" in refusal(films)


@pytest.mark.parametrize("file", ["dataset.json", "dataset.safetensors"])
def test_a_pipe_for_a_file(pets, file):
    (pets / file).unlink()
    os.mkfifo(pets / file)
    assert f"{file} must be" in refusal(pets)
    assert refusal(pets).endswith("got neither a file nor a folder")


def test_a_missing_tensor(pets):
    change_tensors(pets, test_labels=None)
    message = refusal(pets)
    assert "must hold a tensor 'test_labels', got test_examples, train_examples, train_labels" in message


def test_examples_of_another_kind(pets, grids):
    change_metadata(pets, kind="tokens", codebook_size=256)
    assert "must have int64 examples and int64 labels, got uint8 and int64" in refusal(pets)
    change_metadata(pets, kind="clips")
    assert "must have 5 axes, got shape [6, 8, 8, 1]" in refusal(pets)
    change_metadata(grids, kind="pictures", white=255)
    assert "must have 4 axes" in refusal(grids)


def test_examples_or_labels_of_another_dtype(pets):
    change_tensors(pets, train_labels=np.zeros(6, np.int32))
    assert "train split" in refusal(pets)
    assert "must have uint8 examples and int64 labels, got uint8 and int32" in refusal(pets)
    change_tensors(pets, train_labels=np.zeros(6, np.int64), train_examples=np.zeros((6, 8, 8, 1), np.int64))
    assert "must have uint8 examples and int64 labels, got int64 and int64" in refusal(pets)


@pytest.mark.parametrize("count", [0, 5])
def test_examples_and_labels_of_different_counts(pets, count):
    change_tensors(pets, train_examples=np.zeros((count, 8, 8, 1), np.uint8))
    assert f"one example for each label, got examples of shape [{count}, 8, 8, 1] and 6 labels" in refusal(pets)


def test_an_empty_split(pets):
    change_tensors(pets, test_examples=np.zeros((0, 8, 8, 1), np.uint8), test_labels=np.zeros(0, np.int64))
    assert "the test split" in refusal(pets)


def test_a_label_without_a_class(pets):
    change_metadata(pets, classes=["cats"])
    assert "must hold values from 0 to 0, got 1" in refusal(pets)


@pytest.mark.parametrize(("level", "white", "dark"), [(1, 255, True), (0, 255, True), (2, 255, False), (1, 1, False)])
def test_pictures_too_dark_to_see_have_a_remark(pets, level, white, dark):
    change_metadata(pets, white=white)
    change_tensors(
        pets,
        train_examples=np.full((6, 8, 8, 1), level, np.uint8),
        test_examples=np.zeros((2, 8, 8, 1), np.uint8),
    )
    expected = f"The brightest training value is {level}, where white is 255: all is black to the eye."
    assert load("pets").remarks == ((expected,) if dark else ())


def test_pictures_brighter_than_white(pets):
    change_metadata(pets, white=50)
    assert "must hold values from 0 to 50, got 10" in refusal(pets)


def test_tokens_without_a_code(grids):
    change_metadata(grids, codebook_size=5)
    assert "must hold values from 0 to 4, got 5" in refusal(grids)


def test_a_codebook_of_another_size(grids):
    change_metadata(grids, codebook_size=7)
    assert "must have one row for each of 7 codes, got 6 rows" in refusal(grids)


def test_a_codebook_without_a_patch_size(grids):
    change_metadata(grids, patch_size=None)
    assert "must have a field 'patch_size'" in refusal(grids)


@pytest.fixture
def films(home):
    """Stored grids of tokens of clips, with a codebook of tubelets."""
    split = Split(np.zeros((2, 1, 2, 2), np.int64), np.zeros(2, np.int64))
    about = {"classes": ("a",), "description": "d", "licence": "l", "source": "s"}
    codebook = np.ones((6, 8), np.float32)
    films = TokenDataset(
        name="films", train=split, test=split, codebook_size=6, codebook=codebook, patch_size=2, patch_frames=2, **about
    )
    (home / "films").mkdir(parents=True)
    write_dataset(home / "films", films)
    return home / "films"


def test_a_codebook_without_its_frames(films):
    assert isinstance(load("films"), TokenDataset)
    change_metadata(films, patch_frames=None)
    assert "must have a field 'patch_frames'" in refusal(films)


def test_a_codebook_of_other_frames(films):
    change_metadata(films, patch_frames=3)
    assert "must have 12 (grey) or 36 (colour) columns for patches of 3 frames of 2x2 pixels, got 8" in refusal(films)


def test_tokens_of_pictures_to_learn_from_and_of_clips_to_test_on(films):
    change_tensors(films, train_examples=np.zeros((2, 2, 2), np.int64))
    assert "'test_examples' in" in refusal(films)
    assert "must have 3 axes, got shape [2, 1, 2, 2]" in refusal(films)


@pytest.mark.parametrize("scale", [0, -1, pytest.param(10**400, id="huge"), True, "0.5", float("nan"), float("inf")])
def test_a_scale_that_is_no_scale(codes, scale):
    change_metadata(codes, scale=scale)
    message = refusal(codes)
    assert (
        f"'scale' in {codes / 'dataset.json'} must be a number from 1.2e-38 to 3.4e+38, the range of float32" in message
    )
    assert f"got {scale!r:.50}" in message


def test_a_missing_scale(codes):
    change_metadata(codes, scale=None)
    assert "must have a field 'scale'" in refusal(codes)


def test_a_whole_number_is_a_scale(codes):
    change_metadata(codes, scale=2)
    dataset = load("codes")
    assert isinstance(dataset, LatentDataset)
    assert type(dataset.scale) is float
    assert dataset.scale == 2


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_latents_that_are_not_finite(codes, part, value):
    tensors = safetensors.numpy.load_file(codes / "dataset.safetensors")
    tensors[f"{part}_examples"][-1, -1, -1, -1] = value
    change_tensors(codes, **tensors)
    assert f"'{part}_examples' in" in refusal(codes)
    assert "must hold finite float32 numbers, got a NaN or an infinity" in refusal(codes)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_latents_of_another_precision(codes, dtype):
    tensors = safetensors.numpy.load_file(codes / "dataset.safetensors")
    change_tensors(codes, train_examples=tensors["train_examples"].astype(dtype))
    assert f"must have float32 examples and int64 labels, got {dtype} and int64" in refusal(codes)


def test_latents_of_integers(codes):
    change_tensors(codes, train_examples=np.zeros((8, 2, 2, 4), np.uint8))
    assert "must have floating-point values, got uint8" in refusal(codes)


def test_latents_of_another_rank(codes):
    change_tensors(codes, train_examples=np.zeros((8, 4, 4), np.float32))
    assert "must have 4 axes, got shape [8, 4, 4]" in refusal(codes)


def test_latents_without_a_class(codes):
    change_metadata(codes, classes=["only"])
    assert "must hold values from 0 to 0, got 1" in refusal(codes)
