from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tiny_datasets
from tiny_datasets import DatasetError, PictureDataset, import_pictures, load, names, scaled

ORIENTATION = 0x0112  # the EXIF tag


def contents(root: Path) -> list[str]:
    """Everything below a folder, hidden or not."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


@pytest.fixture
def refusal(home):
    """Import a folder that must be refused, and return the sentence."""

    def refused(path, name="pets", **options):
        before = contents(home)
        with pytest.raises(DatasetError) as error:
            import_pictures(path, name, **options)
        assert "\n" not in str(error.value)
        assert contents(home) == before
        return str(error.value)

    return refused


@pytest.fixture
def imported(tmp_path):
    """Import one picture, made by `save(path)`, and return its pixels; the other picture of its class is ignored."""

    def run(picture, suffix="png", *, height=2, width=2, colour=False, **save_options):
        folder = tmp_path / "pictures" / "class"
        folder.mkdir(parents=True)
        for number in range(2):  # the least a dataset can have: one to train on, one to test on
            picture.save(folder / f"{number}.{suffix}", **save_options)
        dataset = import_pictures(folder.parent, "pets", height=height, width=width, colour=colour)
        assert np.array_equal(dataset.train.examples, dataset.test.examples)
        return dataset.train.examples[0]

    return run


# What comes out


def test_a_folder_of_pictures_becomes_a_dataset(picture_folder):
    made = import_pictures(picture_folder, "pets")
    stored = load("pets")
    for dataset in (made, stored):
        assert isinstance(dataset, PictureDataset)
        assert dataset.name == "pets"
        assert dataset.kind == "pictures"
        assert dataset.white == 255
        assert dataset.classes == ("cats", "dogs")
        assert dataset.licence == "not stated"
        assert dataset.source == "a folder of pictures called 'pictures'"
        assert dataset.train.examples.shape == (6, 8, 8, 1)
        assert dataset.test.examples.shape == (2, 8, 8, 1)
        assert dataset.train.examples.dtype == np.uint8
        assert dataset.train.labels.dtype == np.int64
        assert scaled(dataset.train.examples, dataset.white).max() <= 1
    for part in ("train", "test"):
        assert np.array_equal(getattr(made, part).examples, getattr(stored, part).examples)
        assert np.array_equal(getattr(made, part).labels, getattr(stored, part).labels)


def test_every_picture_is_there_once_with_its_own_label(picture_folder):
    dataset = import_pictures(picture_folder, "pets", test_fraction=0.4)
    pairs = [
        (picture[0, 0, 0], label)
        for split in (dataset.train, dataset.test)
        for picture, label in zip(split.examples, split.labels, strict=True)
    ]
    assert sorted(pairs) == [(0, 0), (1, 0), (2, 0), (100, 1), (101, 1), (102, 1), (103, 1), (104, 1)]
    assert np.bincount(dataset.test.labels).tolist() == [1, 2]


def test_the_same_folder_gives_the_same_bytes(picture_folder, home):
    import_pictures(picture_folder, "one")
    import_pictures(picture_folder, "two")
    for file in ("dataset.json", "dataset.safetensors"):
        assert (home / "one" / file).read_bytes() == (home / "two" / file).read_bytes()


def test_a_class_of_one_picture_is_for_training(picture_folder):
    (picture_folder / "owls").mkdir()
    Image.new("L", (8, 8), 200).save(picture_folder / "owls" / "only.png")
    dataset = import_pictures(picture_folder, "pets")
    assert np.count_nonzero(dataset.train.labels == 2) == 1
    assert np.count_nonzero(dataset.test.labels == 2) == 0


def test_what_macos_adds_to_an_archive_is_left_out(picture_folder):
    (picture_folder / "__MACOSX" / "cats").mkdir(parents=True)
    (picture_folder / "__MACOSX" / "cats" / "._0.png").write_bytes(b"resource fork")
    (picture_folder / "cats" / "._0.png").write_bytes(b"resource fork")
    assert import_pictures(picture_folder, "pets").classes == ("cats", "dogs")


def test_what_is_no_picture_is_left_out_and_counted(picture_folder):
    (picture_folder / "readme.txt").touch()
    (picture_folder / ".cache").mkdir()
    (picture_folder / "cats" / ".hidden.png").touch()
    (picture_folder / "cats" / "notes.txt").touch()
    (picture_folder / "cats" / "folder.png").mkdir()
    dataset = import_pictures(picture_folder, "pets")
    assert dataset.classes == ("cats", "dogs")
    assert dataset.description == (
        "8 pictures of 2 classes, cut to their centre and shrunk to 8x8 grey pixels; files left out: 5."
    )


# Pixels


def halves(left, right, mode="L", size=(8, 8)):
    """A picture of two flat halves."""
    picture = Image.new(mode, size, left)
    picture.paste(right, (size[0] // 2, 0, *size))
    return picture


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "tif", "tiff", "PNG", "Tif", "webp", "jpg", "jpeg", "JPG"])
def test_every_format_and_any_case(imported, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    pixels = imported(halves(0, 255, size=(32, 32)), suffix, **options)
    assert np.allclose(pixels[..., 0], [[0, 255], [0, 255]], atol=2)  # JPEG is not exact


def test_a_pixel_is_the_mean_of_those_it_covers(imported):
    values = np.arange(16, dtype=np.uint8).reshape(4, 4)
    pixels = imported(Image.fromarray(values))
    assert np.abs(pixels[..., 0] - values.reshape(2, 2, 2, 2).mean((1, 3))).max() <= 0.5


def test_a_fine_chequerboard_becomes_grey_and_does_not_alias(imported):
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    assert np.abs(imported(Image.fromarray(board), height=8, width=8).astype(int) - 127.5).max() <= 1


def test_a_sharp_edge_does_not_ring(imported):
    pixels = imported(halves(50, 200, size=(64, 64)), height=8, width=8)
    assert set(pixels.ravel().tolist()) == {50, 200}


def test_colour_is_kept_when_asked_for(imported):
    pixels = imported(halves((255, 0, 0), (0, 0, 255), "RGB"), colour=True)
    assert pixels.tolist() == [[[255, 0, 0], [0, 0, 255]]] * 2


def test_colour_becomes_its_brightness_otherwise(imported):
    pixels = imported(halves((0, 255, 0), (0, 0, 255), "RGB"))
    assert pixels[0, :, 0].tolist() == [150, 29]  # the luma of ITU-R 601


def test_grey_becomes_three_equal_channels_when_colour_is_asked_for(imported):
    assert imported(halves(10, 20), colour=True).tolist() == [[[10] * 3, [20] * 3]] * 2


def test_a_palette_is_looked_up(imported):
    picture = halves((255, 0, 0), (0, 0, 255), "RGB").convert("P", palette=Image.Palette.ADAPTIVE)
    assert picture.mode == "P"
    assert imported(picture, "gif", colour=True)[0].tolist() == [[255, 0, 0], [0, 0, 255]]


def test_a_transparent_colour_of_a_palette_becomes_black(imported):
    picture = halves(1, 0, "P")
    picture.putpalette([255, 255, 255, 90, 90, 90])
    assert imported(picture, "png", transparency=1)[0, :, 0].tolist() == [0, 255]


def test_transparent_becomes_black_in_proportion(imported):
    pixels = imported(halves((255, 255, 255, 0), (255, 255, 255, 51), "RGBA"), colour=True)
    assert pixels[0].tolist() == [[0] * 3, [51] * 3]


def test_grey_with_transparency(imported):
    assert imported(halves((200, 255), (200, 0), "LA"))[0, :, 0].tolist() == [200, 0]


def test_black_and_white(imported):
    assert imported(halves(0, 1, "1"))[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bits_are_scaled_and_not_clipped(imported, suffix):
    values = np.repeat(np.repeat(np.array([[0, 257], [32896, 65535]], np.uint16), 4, 0), 4, 1)
    assert imported(Image.fromarray(values), suffix)[..., 0].tolist() == [[0, 1], [128, 255]]


def test_print_colours(imported):
    assert imported(halves((0, 0, 0, 0), (0, 0, 0, 255), "CMYK"), "tif", colour=True)[0].tolist() == [
        [255] * 3,
        [0] * 3,
    ]


@pytest.mark.parametrize(
    ("orientation", "upright"),
    {
        1: [[0, 80], [160, 240]],
        2: [[80, 0], [240, 160]],
        3: [[240, 160], [80, 0]],
        4: [[160, 240], [0, 80]],
        5: [[0, 160], [80, 240]],
        6: [[160, 0], [240, 80]],
        7: [[240, 80], [160, 0]],
        8: [[80, 240], [0, 160]],
    }.items(),
)
def test_exif_orientation(imported, orientation, upright):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    quarters = np.kron(np.array([[0, 80], [160, 240]], np.uint8), np.ones((8, 8), np.uint8))
    assert imported(Image.fromarray(quarters), exif=exif)[..., 0].tolist() == upright


@pytest.mark.parametrize(("size", "kept"), [((32, 16), "across"), ((16, 32), "down")])
def test_the_centre_is_cut_to_the_wanted_shape(imported, size, kept):
    values = np.zeros(size[::-1], np.uint8)
    if kept == "across":
        values[:, 8:24] = 255
    else:
        values[8:24] = 255
    assert np.unique(imported(Image.fromarray(values))).tolist() == [255]


def test_the_wanted_shape_need_not_be_square(imported):
    values = np.zeros((16, 16), np.uint8)
    values[4:12] = 255  # the central half is as wide as it takes for 2 to 4
    pixels = imported(Image.fromarray(values), height=2, width=4)
    assert pixels.shape == (2, 4, 1)
    assert np.unique(pixels).tolist() == [255]


def test_a_picture_may_be_smaller_than_wanted(imported):
    assert np.unique(imported(Image.new("L", (1, 1), 77), height=8, width=8)).tolist() == [77]


def test_pictures_may_differ_in_size(picture_folder):
    Image.new("RGB", (40, 9), "white").save(picture_folder / "cats" / "wide.jpg")
    Image.new("RGBA", (5, 70), "white").save(picture_folder / "cats" / "tall.webp")
    assert len(import_pictures(picture_folder, "pets").train) == 8


# Refusals


def test_no_folder(tmp_path, refusal):
    assert "must be a folder with one sub-folder of pictures for each class, got nothing there" in refusal(
        tmp_path / "nowhere"
    )


def test_a_file_for_a_folder(tmp_path, refusal):
    (tmp_path / "file").touch()
    assert "file must be a folder with one sub-folder of pictures for each class, got a file" in refusal(
        tmp_path / "file"
    )


def test_no_sub_folders(picture_folder, refusal):
    message = refusal(picture_folder / "cats")
    assert "cats must hold one sub-folder of pictures for each class, got no sub-folders" in message


def test_parts_are_no_classes(picture_folder, refusal):
    """A folder that is divided first and classified then, or not classified at all."""
    (picture_folder / "cats").rename(picture_folder / "Test")
    (picture_folder / "dogs").rename(picture_folder / "train")
    expected = "must hold one sub-folder of pictures for each class, got the parts 'Test' and 'train' of a divided set"
    assert expected in refusal(picture_folder)


@pytest.mark.parametrize("name", ["train", "Training", "test_set", "val2017", "dev", "evaluation data"])
def test_one_part_is_no_class(picture_folder, refusal, name):
    """A part that holds folders beside a class, a part alone, or two parts beside a class."""
    part = (picture_folder / "dogs").rename(picture_folder / name)
    (part / "deeper").mkdir()
    assert f"got the part {name!r} of a divided set" in refusal(picture_folder)
    (part / "deeper").rmdir()
    (picture_folder / "cats").rename(part / "cats")
    assert f"got the part {name!r} of a divided set" in refusal(picture_folder)
    (part / "cats").rename(picture_folder / "cats")
    (picture_folder / "holdout").mkdir()
    assert "got the parts " in refusal(picture_folder)


@pytest.mark.parametrize("name", ["test", "train", "testament", "valley"])
def test_a_class_may_have_the_name_of_a_part(picture_folder, name):
    (picture_folder / "dogs").rename(picture_folder / name)
    assert import_pictures(picture_folder, "pets").classes == ("cats", name)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_a_file_of_several_pictures(picture_folder, refusal, suffix):
    frames = [Image.new("L", (8, 8), grey) for grey in (40, 140, 240)]
    path = picture_folder / "cats" / f"many.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    expected = "must be one picture, got a file of 3 frames or pages; 'elt-ref data import clips' takes animations"
    assert refusal(picture_folder) == f"{path} {expected}"


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "device"])
def test_what_is_no_file_is_not_opened(picture_folder, refusal, make):
    path = picture_folder / "cats" / "x.png"
    make(path)
    assert refusal(picture_folder) == f"{path} must be a picture file, got neither a file nor a folder"


def test_a_class_without_pictures(picture_folder, refusal):
    (picture_folder / "fish").mkdir()
    (picture_folder / "fish" / "notes.txt").touch()
    message = refusal(picture_folder)
    assert "fish must hold pictures (.bmp .gif .jpeg" in message
    assert message.endswith("got none")


def test_no_class_with_two_pictures(tmp_path, refusal):
    (tmp_path / "pictures" / "cats").mkdir(parents=True)
    Image.new("L", (8, 8)).save(tmp_path / "pictures" / "cats" / "only.png")
    assert "pictures must hold 2 or more examples of some class" in refusal(tmp_path / "pictures")


def test_a_folder_that_cannot_be_read(picture_folder, refusal, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert "must be readable, got Permission denied" in refusal(picture_folder)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif", ".webp", ".bmp", ".tif"])
def test_a_file_that_is_no_picture(picture_folder, refusal, suffix):
    (picture_folder / "cats" / f"bad{suffix}").write_bytes(b"this is text")
    message = refusal(picture_folder)
    assert f"bad{suffix} must be a whole picture, got one that cannot be read" in message


def test_a_format_that_is_not_on_the_list(picture_folder, refusal):
    Image.new("L", (8, 8)).save(picture_folder / "cats" / "bad.png", "PPM")
    assert "bad.png must be a whole picture" in refusal(picture_folder)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif", ".webp", ".bmp", ".tif"])
def test_a_truncated_picture(picture_folder, refusal, suffix):
    path = picture_folder / "cats" / f"bad{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert f"bad{suffix} must be a whole picture, got one that cannot be read" in refusal(picture_folder)


def test_an_empty_file(picture_folder, refusal):
    (picture_folder / "cats" / "bad.png").touch()
    assert "bad.png must be a whole picture" in refusal(picture_folder)


@pytest.mark.parametrize("side", [12, 15], ids=["Pillow warns", "Pillow refuses"])
def test_a_decompression_bomb(picture_folder, refusal, monkeypatch, side):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for path in picture_folder.rglob("*.png"):
        Image.new("L", (side, side)).save(path)
    message = refusal(picture_folder)
    assert "0.png must be a picture of at most 100 pixels, got more" in message


@pytest.mark.parametrize("mode", ["I", "F"])
def test_32_bits_have_no_white(picture_folder, refusal, mode):
    Image.new(mode, (8, 8), 1).save(picture_folder / "cats" / "deep.tif")
    assert "deep.tif must have values that define black and white, got values that are signed" in refusal(
        picture_folder
    )


@pytest.mark.parametrize(
    "name", ["", "Pets", "my pets", "-pets", "_pets", ".pets", "../pets", "a/b", "pets\n", "pêts", "a" * 65]
)
def test_a_bad_name(picture_folder, refusal, name):
    message = refusal(picture_folder, name)
    assert "name must be 1 to 64 lower-case letters, digits, '_' or '-'" in message
    assert f"got {name!r}" in message


@pytest.mark.parametrize("name", ["con", "nul", "aux", "prn", "com1", "lpt9"])
def test_a_name_of_a_device(picture_folder, refusal, name):
    assert refusal(picture_folder, name) == (
        f"a dataset's name must be none that Windows keeps for a device, got {name!r}"
    )


def test_a_shipped_name(picture_folder, refusal):
    assert "got 'digits', which already exists in this package" in refusal(picture_folder, "digits")


def test_an_imported_name(picture_folder, refusal, home):
    import_pictures(picture_folder, "pets")
    assert f"got 'pets', which already exists in {home}" in refusal(picture_folder)


@pytest.mark.parametrize("raw", [b"na\xefve", b"two\nlines", b"\x1b[31mred"])
def test_a_class_whose_name_cannot_be_printed(picture_folder, refusal, raw):
    name = os.fsdecode(raw)
    (picture_folder / name).mkdir()
    Image.new("L", (8, 8)).save(picture_folder / name / "0.png")
    assert f"must hold sub-folders with names in UTF-8 on one line, got {name!r}" in refusal(picture_folder)


def test_a_folder_and_pictures_whose_names_are_no_utf8(picture_folder, tmp_path):
    for number, path in enumerate((picture_folder / "cats").iterdir()):
        path.rename(path.with_name(os.fsdecode(b"\xff%d.png" % number)))
    dataset = import_pictures(picture_folder.rename(tmp_path / os.fsdecode(b"pets\xfe")), "pets")
    assert dataset.source == load("pets").source == r"a folder of pictures called 'pets\udcfe'"
    assert len(dataset.train) + len(dataset.test) == 8


@pytest.mark.parametrize("options", [{"height": 0}, {"width": -1}, {"height": 1025}])
def test_a_bad_size(picture_folder, refusal, options):
    [(side, size)] = options.items()
    assert refusal(picture_folder, **options) == f"{side} must be from 1 to 1024 pixels, got {size}"


@pytest.mark.parametrize("fraction", [0, 1, float("nan")])
def test_a_bad_fraction(picture_folder, refusal, fraction):
    assert "test_fraction must be greater than 0" in refusal(picture_folder, test_fraction=fraction)


def test_the_home_is_looked_at_first(tmp_path):
    """An import may read for minutes."""
    (tmp_path / "file").touch()
    for kind in ("cifar", "clips", "idx", "latents", "npz", "pictures", "tokens"):
        importer = getattr(tiny_datasets, f"import_{kind}")
        with pytest.raises(DatasetError, match=r"the data home .*below must be a folder to write to, got a file at "):
            importer(tmp_path / "nowhere", "pets", home=tmp_path / "file" / "below")


def test_a_home_without_leave_to_write(picture_folder, refusal, monkeypatch, home):
    home.mkdir()
    monkeypatch.setattr(os, "access", lambda place, _: Path(place) != home)
    assert f"must be a folder to write to, got one without leave to write in {home}" in refusal(picture_folder)


def test_a_home_that_is_a_file(picture_folder, tmp_path):
    (tmp_path / "file").write_text("mine")
    for home in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(DatasetError, match=r"the data home .*file.* must be a folder to write to, got"):
            import_pictures(picture_folder, "pets", home=home)
    assert (tmp_path / "file").read_text() == "mine"


# Whole or not at all


def test_a_full_disk_leaves_nothing_behind(picture_folder, refusal, monkeypatch, home):
    home.mkdir()

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "must be a folder to write to, got No space left on device" in refusal(picture_folder)


def test_an_interruption_leaves_nothing_behind(picture_folder, monkeypatch, home):
    def interrupt(draft, _target):
        assert (draft / "dataset.safetensors").stat().st_size > 0
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", interrupt)
    with pytest.raises(KeyboardInterrupt):
        import_pictures(picture_folder, "pets")
    assert contents(home) == []


def test_a_dataset_appears_only_once_its_files_are_on_the_disk(picture_folder, monkeypatch):
    synced, seen, fsync, rename = [], [], os.fsync, Path.rename

    def watched_fsync(descriptor):
        seen.append(names())
        synced.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def watched_rename(draft, target):
        assert sorted(synced) == sorted(path.stat().st_ino for path in draft.iterdir())
        return rename(draft, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(Path, "rename", watched_rename)
    import_pictures(picture_folder, "pets")
    assert len(seen) == 2
    assert all("pets" not in listed for listed in seen)
    assert "pets" in names()


def test_of_two_imports_at_once_one_wins_and_stays_whole(picture_folder, monkeypatch, home):
    rename = Path.rename

    def late(draft, target):
        monkeypatch.setattr(Path, "rename", rename)
        import_pictures(picture_folder, "pets", height=4)
        return rename(draft, target)

    monkeypatch.setattr(Path, "rename", late)
    with pytest.raises(DatasetError, match="data home"):
        import_pictures(picture_folder, "pets")
    assert load("pets").train.examples.shape[1] == 4
    assert contents(home) == ["pets", "pets/dataset.json", "pets/dataset.safetensors"]
