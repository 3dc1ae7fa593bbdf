from __future__ import annotations

import os
import struct

import numpy as np
import png_format
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tiny_datasets import ClipDataset, DatasetError, clip_file, import_clips, load


def flat_frames(levels, size=(8, 8)):
    return [Image.new("L", size, level) for level in levels]


def write_animation(path, frames, **options):
    lossless = {"lossless": True} if path.suffix.lower() == ".webp" else {}
    kind = {"format": "PNG"} if path.suffix.lower() == ".apng" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], **lossless, **kind, **options)


def write_folder(folder, frames, names=None):
    folder.mkdir(parents=True)
    for index, frame in enumerate(frames):
        frame.save(folder / (names[index] if names else f"frame{index}.png"))


@pytest.fixture
def clips(tmp_path):
    """Two classes: three folders of four frames of one level each, and two animated files."""
    root = tmp_path / "clips"
    for number in range(3):
        write_folder(root / "folders" / f"{number}", flat_frames([10 * number + step for step in range(4)]))
    (root / "files").mkdir()
    for number, suffix in enumerate((".gif", ".png")):
        levels = [100 + 10 * number + step for step in range(4)]
        write_animation(root / "files" / f"clip{suffix}", flat_frames(levels))
    return root


@pytest.fixture
def refusal(home):
    """Import a folder that must be refused, and return the sentence."""

    def refused(path, name="mine", **options):
        with pytest.raises(DatasetError) as error:
            import_clips(path, name, **options)
        assert "\n" not in str(error.value)
        assert not home.exists()
        return str(error.value)

    return refused


@pytest.fixture
def levels(tmp_path):
    """Import one clip, written twice by ``write(path without suffix)``, and return the levels of its frames."""

    def run(write, **options):
        root = tmp_path / "clips"
        (root / "class").mkdir(parents=True)
        for number in range(2):  # the least a dataset can have: one to train on, one to test on
            write(root / "class" / f"{number}")
        examples = import_clips(root, "mine", height=2, width=2, **options).train.examples
        assert (examples == examples[:, :, :1, :1]).all()
        return examples[0, :, 0, 0].squeeze(-1).tolist()

    return run


def test_folders_and_files_come_through(clips):
    import_clips(clips, "mine", test_fraction=0.4)
    dataset = load("mine")
    assert isinstance(dataset, ClipDataset)
    assert dataset.white == 255
    assert dataset.classes == ("files", "folders")
    assert dataset.motions is None
    assert dataset.train.examples.shape == (3, 4, 8, 8, 1)
    assert len(dataset.test) == 2
    found = sorted(
        (clip[:, 0, 0, 0].tolist(), int(label))
        for split in (dataset.train, dataset.test)
        for clip, label in zip(split.examples, split.labels, strict=True)
    )
    first = [(0, 1), (10, 1), (20, 1), (100, 0), (110, 0)]
    assert found == [([level + step for step in range(4)], label) for level, label in first]
    expected = "5 clips of 4 frames in 2 classes, cut to their centre and shrunk to 8x8 grey pixels; files left out: 0."
    assert dataset.description == expected
    assert dataset.source == "a folder of clips called 'clips'"


@pytest.mark.parametrize("suffix", [".gif", ".png", ".apng", ".webp", ".GIF", ".WebP"])
def test_every_kind_of_animated_file(levels, suffix):
    wanted = [0, 60, 120, 200, 250]
    written = levels(lambda path: write_animation(path.with_suffix(suffix), flat_frames(wanted)), frames=5)
    assert written == wanted


def test_frame_10_comes_after_frame_9(levels):
    names = [f"frame{number}.png" for number in range(8, 12)]
    assert levels(lambda path: write_folder(path, flat_frames([8, 9, 10, 11]), names)) == [8, 9, 10, 11]


def test_every_number_in_a_name_counts(levels):
    names = ["take10-a2.png", "take2-a10.png", "take2-a9.png", "take10-a1.PNG"]
    assert levels(lambda path: write_folder(path, flat_frames([4, 2, 1, 3]), names)) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("count", "frames", "taken"),
    [(8, 4, [1, 3, 5, 7]), (9, 3, [1, 4, 7]), (5, 1, [2]), (6, 4, [0, 2, 3, 5]), (4, 4, [0, 1, 2, 3])],
)
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_the_frames_of_a_longer_clip(levels, kind, count, frames, taken):
    def write(path):
        if kind == "folder":
            write_folder(path, flat_frames(range(count)))
        else:
            write_animation(path.with_suffix(".png"), flat_frames(range(count)))

    assert levels(write, frames=frames) == taken


@given(st.integers(1, 40), st.integers(0, 200))
def test_frames_are_spread_evenly(tmp_path_factory, frames, more):
    count = frames + more
    chosen = clip_file._spread(count, frames, tmp_path_factory.getbasetemp())
    assert len(set(chosen)) == frames
    for part, index in enumerate(chosen):
        middle = (part + 0.5) * count / frames
        assert middle - 1 < index <= middle
    if count % frames == 0:
        assert set(np.diff(chosen)) <= {count // frames}


def test_hidden_files_and_others_are_no_frames(levels):
    def write(path):
        write_folder(path, flat_frames([1, 2, 3, 4]))
        (path / "notes.txt").touch()
        (path / ".hidden.png").touch()

    assert levels(write) == [1, 2, 3, 4]


def test_the_picture_for_those_who_cannot_show_an_animated_png_is_no_frame(levels):
    frames = flat_frames([99, 1, 2, 3, 4])
    assert levels(lambda path: write_animation(path.with_suffix(".png"), frames, default_image=True)) == [1, 2, 3, 4]


def test_colour_is_kept_when_asked_for(clips):
    for file in (clips / "files").iterdir():
        frames = [Image.new("RGB", (8, 8), (200, 10 * step, 0)) for step in range(4)]
        write_animation(file, frames)
    dataset = import_clips(clips, "mine", colour=True)
    assert dataset.train.examples.shape == (3, 4, 8, 8, 3)
    found = dataset.test.examples[dataset.test.labels == 0]
    assert found[0, :, 0, 0].tolist() == [[200, 10 * step, 0] for step in range(4)]


def test_a_size_is_reached_by_a_cut_and_means(clips):
    dataset = import_clips(clips, "mine", height=3, width=2, frames=2)
    assert dataset.train.examples.shape[1:] == (2, 3, 2, 1)


def test_no_more_frames_are_decoded_than_needed(clips):
    last = clips / "folders" / "0" / "frame4.png"
    # The size can be read, the pixels cannot.
    header = (b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))
    last.write_bytes(png_format.file_of(header, (b"IDAT", b"no pixels"), (b"IEND", b"")))
    assert len(import_clips(clips, "mine", frames=2).train) == 3  # of five frames those with index 1 and 3


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_upright_frames_are_of_one_size_whatever_their_raw_one(levels, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6

    def write(path):
        path.mkdir()
        for index, level in enumerate((10, 20, 30, 40)):
            turned = {"exif": exif} if index % 2 else {}
            size = (2, 4) if index % 2 else (4, 2)
            Image.new("L", size, level).save(path / f"{index}.{suffix}", quality=100, **turned)

    assert np.abs(np.array(levels(write)) - [10, 20, 30, 40]).max() <= 2  # JPEG is not exact


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_frames_that_differ_only_upright(clips, refusal, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6
    for index in range(4):
        turned = {"exif": exif} if index == 2 else {}
        (clips / "folders" / "1" / f"frame{index}.png").unlink()
        Image.new("L", (4, 2)).save(clips / "folders" / "1" / f"frame{index}.{suffix}", **turned)
    assert "must be a frame of 2x4 pixels like those before it in its clip, got 4x2" in refusal(clips)


def test_photographs_of_phones_are_frames(levels):
    """They hold further pictures, and Pillow calls them MPO."""

    def write(path):
        path.mkdir()
        for level in (10, 20, 30, 40):
            preview = Image.new("L", (2, 2), 200)
            photo = Image.new("L", (4, 4), level)
            photo.save(path / f"{level}.jpg", "MPO", save_all=True, append_images=[preview], quality=100)

    assert np.abs(np.array(levels(write)) - [10, 20, 30, 40]).max() <= 2


# Refusals


@pytest.mark.parametrize(
    "parts", [("train",), ("train", "test", "extra"), ("train_set", "Test-Set"), ("val2017", "cat")]
)
def test_a_divided_set_of_pictures_is_no_set_of_clips(tmp_path, refusal, parts):
    for part in parts:
        for name in ("cat", "dog"):
            write_folder(tmp_path / "divided" / part / name, flat_frames(range(4)))
    message = refusal(tmp_path / "divided")
    assert "divided must hold one sub-folder of clips for each class, got the part" in message
    assert "of a divided set; import one part by its own path, put all in one folder for each class" in message


def test_clips_may_have_the_names_of_parts(tmp_path):
    for clip in ("test1", "test2"):
        write_folder(tmp_path / "clips" / "run" / clip, flat_frames(range(4)))
    assert len(import_clips(tmp_path / "clips", "mine").train) == 1


def test_a_divided_class_is_no_set_of_clips(tmp_path, refusal):
    for name in ("cat", "dog"):
        for part in ("train", "test"):
            write_folder(tmp_path / "divided" / name / part, flat_frames(range(4)))
    expected = "cat must hold one folder for each of the clips, got the parts 'test' and 'train' of a divided set"
    assert expected in refusal(tmp_path / "divided")


@pytest.mark.parametrize("place", ["files/pipe.gif", "folders/1/frame2.png"])
def test_a_pipe_is_no_clip(clips, refusal, place):
    (clips / place).unlink(missing_ok=True)
    os.mkfifo(clips / place)
    assert refusal(clips) == f"{clips / place} must be a picture file, got neither a file nor a folder"


@pytest.mark.parametrize("place", ["folders/1", "files/clip.gif", "files/clip.png"])
def test_a_clip_with_too_few_frames(clips, refusal, place):
    if (clips / place).is_dir():
        (clips / place / "frame0.png").unlink()
    else:
        write_animation(clips / place, flat_frames([1, 2, 3]))
    assert refusal(clips) == f"{clips / place} must be a clip of at least 4 frames, got 3"


def test_a_still_picture_is_a_clip_of_one_frame(clips, refusal):
    Image.new("L", (8, 8)).save(clips / "files" / "still.png")
    assert "still.png must be a clip of at least 4 frames, got 1" in refusal(clips)


def test_an_empty_folder_is_a_clip_of_no_frames(clips, refusal):
    (clips / "files" / "empty").mkdir()
    assert "empty must be a clip of at least 4 frames, got 0" in refusal(clips)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".tif"])
def test_a_folder_of_animated_files_is_not_one_clip(clips, refusal, suffix):
    for number in range(4):
        write_animation(clips / "folders" / "1" / f"frame{number}{suffix}", flat_frames([10, 20, 30]))
    frame = clips / "folders" / "1" / f"frame0{suffix}"
    assert refusal(clips) == f"{frame} must be one frame of the clip that its folder holds, got a file of 3 frames"


def test_a_folder_with_folders_is_not_one_clip(clips, refusal):
    (clips / "folders" / "1" / "more").mkdir()
    assert "folders/1 must hold the frames of one clip and no folders, got the folder 'more'" in refusal(clips)


@pytest.mark.parametrize("number", [0, 2, 3])
def test_frames_of_different_sizes(clips, refusal, number):
    frame = clips / "folders" / "1" / f"frame{number}.png"
    Image.new("L", (9, 7)).save(frame)
    assert "pixels like those before it in its clip, got" in refusal(clips, frames=2)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_a_damaged_file(clips, refusal, suffix):
    (clips / "files" / f"bad.{suffix}").write_bytes(b"this is text")
    assert f"bad.{suffix} must be a whole picture, got one that cannot be read" in refusal(clips)


@pytest.mark.parametrize("suffix", ["png", "webp", "gif"])
def test_a_truncated_file(clips, refusal, suffix):
    path = clips / "files" / f"bad.{suffix}"
    draw = np.random.default_rng(0)
    write_animation(path, [Image.fromarray(draw.integers(0, 256, (32, 32), np.uint8)) for _ in range(4)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert f"bad.{suffix} must be a" in refusal(clips)


@pytest.mark.parametrize("place", ["files/bad.gif", "folders/0/frame1.png"])
def test_a_decompression_bomb(clips, refusal, monkeypatch, place):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    write_animation(clips / place, flat_frames(range(4), size=(12, 12)))
    assert f"{clips / place} must be a picture of at most 100 pixels, got more" in refusal(clips)


def test_too_many_pixels_in_all_frames(clips, refusal, monkeypatch):
    monkeypatch.setattr(clip_file, "MAX_DECODED_PIXELS", 5 * 64)
    write_animation(clips / "files" / "clip.gif", flat_frames(range(0, 200, 20)))  # of ten the ninth is the last taken
    assert "clip.gif must have at most 320 pixels in all of its frames, got 576" in refusal(clips)


def test_a_class_without_clips(clips, refusal):
    (clips / "none").mkdir()
    (clips / "none" / "film.mp4").touch()
    expected = "none must hold clips (.apng .gif .png .webp or folders of frames), got none"
    assert expected in refusal(clips)


def test_no_folder(clips, refusal):
    expected = "nowhere must be a folder with one sub-folder of clips for each class, got nothing there"
    assert expected in refusal(clips / "nowhere")


def test_a_class_whose_name_is_no_utf8(clips, refusal):
    (clips / os.fsdecode(b"na\xefve")).mkdir()
    assert r"must hold sub-folders with names in UTF-8 on one line, got 'na\udcefve'" in refusal(clips)


def test_frames_whose_names_are_no_utf8(levels):
    names = [os.fsdecode(b"\xff%d.png" % number) for number in range(4)]
    assert levels(lambda path: write_folder(path, flat_frames([1, 2, 3, 4]), names)) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"frames": 0}, "frames must be from 1 to 1024, got 0"),
        ({"frames": 1025}, "frames must be from 1 to 1024, got 1025"),
        ({"height": 0}, "height must be from 1 to 1024 pixels, got 0"),
        ({"test_fraction": 0}, "test_fraction must be greater than 0"),
        ({"name": "digits"}, "which already exists in this package"),
    ],
)
def test_a_bad_request(clips, refusal, options, expected):
    assert expected in refusal(clips, **options)
