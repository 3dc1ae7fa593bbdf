"""Descriptions and drawings of data sets."""

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

import tiny_datasets
from elt_ref.run.describe import describe, draw_dataset
from tiny_datasets.catalogue import HOME_VARIABLE


@pytest.fixture
def films(tmp_path, monkeypatch):
    """Imported tokens of clips: 2×1×3 tubelets of 2 frames of 2×2 grey pixels, in two classes."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    tensors = {
        "tokens": np.arange(8 * 6).reshape(8, 2, 1, 3) % 6,
        "labels": np.arange(8) % 2,
        "codebook": np.linspace(0, 1, 6 * 8, dtype=np.float32).reshape(6, 8),
    }
    safetensors.numpy.save_file(tensors, tmp_path / "films", {"patch_size": "2", "patch_frames": "2"})
    tiny_datasets.import_tokens(tmp_path / "films", "films")


def lines(name):
    return dict(line.split(maxsplit=1) for line in describe(name).splitlines())


def test_clips_tell_their_frames_and_motions():
    said = lines("moving_digits")
    assert said["kind"] == "clips, 4 frames of 12×12×1"
    assert said["motions"] == "4: up, down, left, right"
    assert lines("bouncing_digits")["kind"] == "clips, 8 frames of 16×16×1"


def test_pictures_have_neither():
    said = lines("digits")
    assert said["kind"] == "pictures, 8×8×1"
    assert "motions" not in said


@pytest.mark.usefixtures("films")
def test_tokens_of_clips_tell_their_frames():
    said = lines("films")
    assert said["kind"] == "tokens, 2 frames of 1×3"
    assert "motions" not in said


def test_a_contact_sheet_has_a_row_for_each_clip_and_a_frame_in_each_column(tmp_path):
    draw_dataset("bouncing_digits", tmp_path / "clips.png")
    sheet = np.asarray(Image.open(tmp_path / "clips.png").convert("L"))
    dataset = tiny_datasets.load("bouncing_digits")
    assert isinstance(dataset, tiny_datasets.ClipDataset)
    assert sheet.shape == (20 * (64 + 4) + 4, 8 * (64 + 4) + 4)
    for row, label in ((0, 0), (7, 7)):
        first = dataset.train.examples[np.flatnonzero(dataset.train.labels == label)[0]]
        for column, frame in enumerate(first):
            drawn = sheet[4 + 68 * row :, 4 + 68 * column :][:64:4, :64:4]
            assert np.array_equal(drawn, np.rint(frame[..., 0] / np.float32(16) * 255))


@pytest.mark.usefixtures("films")
def test_tokens_of_clips_are_drawn_by_their_codebook(tmp_path):
    draw_dataset("films", tmp_path / "films.png")
    with Image.open(tmp_path / "films.png") as sheet:
        # Four frames of 2×6 pixels, enlarged 18 times, and a row for each of the six training clips.
        assert sheet.size == (4 * (6 * 18 + 4) + 4, 6 * (2 * 18 + 4) + 4)
