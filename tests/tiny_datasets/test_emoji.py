from __future__ import annotations

import hashlib
import io
import json

import numpy as np
import pytest
from PIL import Image

import tiny_datasets
from elt_ref.measure import classify, load_feature_network
from tiny_datasets import DatasetError
from tiny_datasets.emoji.build import GROUPS, build, main, shrink
from tiny_datasets.emoji.splits import CLASSES, FILE, split

SHA256 = "faee4c7803531bb7d4f0185d245588f7d351f0c9ed8e690607753f9ff59b07c2"
FOLDER = tiny_datasets.dataset_folder("emoji")


@pytest.fixture(scope="module")
def emoji():
    return tiny_datasets.load("emoji")


def test_they_are_1906_colour_pictures_of_16_by_16_pixels(emoji):
    assert emoji.train.examples.shape == (1524, 16, 16, 3)
    assert emoji.test.examples.shape == (382, 16, 16, 3)
    assert emoji.train.examples.dtype == np.uint8
    assert emoji.white == 255


def test_the_classes_are_the_groups_of_unicode_from_the_largest_to_the_smallest(emoji):
    assert emoji.classes == CLASSES
    assert emoji.classes == (
        "people",
        "flags",
        "objects",
        "symbols",
        "places",
        "smileys",
        "animals",
        "food",
        "activities",
    )
    sizes = np.bincount(emoji.train.labels) + np.bincount(emoji.test.labels)
    assert sizes.tolist() == [386, 270, 264, 224, 218, 169, 159, 131, 85]


def test_a_fifth_of_each_class_is_held_out(emoji):
    held_out, trained = np.bincount(emoji.test.labels), np.bincount(emoji.train.labels)
    assert held_out.tolist() == [round(0.2 * size) for size in held_out + trained]
    text = (FOLDER / "SOURCE.md").read_text(encoding="utf-8")
    for label, name in enumerate(emoji.classes):
        assert f"| {label} | {name} | {GROUPS[label]} | {trained[label]} | {held_out[label]} |" in text


def test_no_held_out_picture_is_in_the_training_split(emoji):
    train, test = ({picture.tobytes() for picture in part.examples} for part in (emoji.train, emoji.test))
    assert not train & test
    assert len(test) == 382


def test_pictures_that_are_there_twice_are_never_held_out():
    labels = np.repeat(np.arange(len(CLASSES)), 20)
    pictures = np.arange(len(labels) * 16 * 16 * 3).reshape(-1, 16, 16, 3) // (2 * 16 * 16 * 3) % 251
    pictures[::40] = 255 - pictures[::40]  # the others are in pairs
    train, test = split(pictures.astype(np.uint8), labels)
    assert len(train) + len(test) == len(labels)
    copies = {picture.tobytes() for picture in train.examples}
    assert not copies & {picture.tobytes() for picture in test.examples}


@pytest.mark.parametrize("part", ["train", "test"])
def test_each_split_begins_with_a_mix_of_all_classes(emoji, part):
    assert len(set(getattr(emoji, part).labels[:80].tolist())) == 9


def test_most_pictures_stand_on_white(emoji):
    corners = emoji.train.examples[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert np.mean(corners == 255) > 0.8


def test_it_says_what_it_is(emoji):
    assert (emoji.name, emoji.kind) == ("emoji", "pictures")
    text = (FOLDER / "SOURCE.md").read_text(encoding="utf-8")
    for said in (emoji.licence, emoji.source):
        assert "Noto Emoji" in said
    for fact in ("Apache License 2.0", "emoji-datasource-google", "16.0.0", "box filter", "not in linear light"):
        assert fact in text


def test_the_whole_folder_has_at_most_one_and_a_half_megabytes():
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()) <= 1_500_000


def test_the_pictures_are_the_ones_all_numbers_were_measured_on():
    assert hashlib.sha256((FOLDER / FILE).read_bytes()).hexdigest() == SHA256


def test_the_feature_network_recognises_most_training_pictures_and_many_new_ones(emoji):
    network = load_feature_network(FOLDER / "feature_network.safetensors")
    shares = {}
    for part in ("train", "test"):
        pictures = tiny_datasets.scaled(getattr(emoji, part).examples, emoji.white)
        logits = classify(network, pictures).logits
        shares[part] = np.mean(logits.argmax(axis=1) == getattr(emoji, part).labels)
    assert shares["train"] > 0.95
    assert 0.55 < shares["test"] < 0.75


# --- the build, on a package of three pictures


def opaque(colour):
    return np.full((64, 64, 4), [*colour, 255], np.uint8)


def test_transparent_pixels_become_white_and_blocks_their_mean():
    picture = opaque((10, 20, 30))
    picture[:4, :4] = 0
    picture[4:6, :4] = [0, 0, 0, 255]
    picture[6:8, :4] = [255, 255, 255, 0]
    picture[:4, 4:8] = [0, 100, 200, 51]  # a fifth
    shrunk = shrink(picture)
    assert shrunk[5, 5].tolist() == [10, 20, 30]
    assert shrunk[0, 0].tolist() == [255] * 3
    assert shrunk[1, 0].tolist() == [128] * 3  # 127.5, rounded up
    assert shrunk[0, 1].tolist() == [204, 224, 244]


def test_shrinking_agrees_with_pillow_to_one_step_of_rounding():
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 4), np.uint8)
    image = Image.fromarray(picture, "RGBA")
    white = Image.new("RGBA", image.size, "white")
    expected = Image.alpha_composite(white, image).convert("RGB").resize((16, 16), Image.Resampling.BOX)
    assert np.abs(shrink(picture).astype(int) - np.asarray(expected)).max() <= 1


def png(picture):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def package(tmp_path):
    pictures = tmp_path / "package" / "img" / "google" / "64"
    pictures.mkdir(parents=True)
    entries = []
    for name, group in (("a.png", "Flags"), ("b.png", "Component"), ("c.png", "People & Body")):
        (pictures / name).write_bytes(png(opaque((len(entries), 0, 0))))
        entries.append({"image": name, "category": group})
    about = {"name": "emoji-datasource-google", "version": "16.0.0"}
    (tmp_path / "package" / "emoji.json").write_text(json.dumps(entries))
    (tmp_path / "package" / "package.json").write_text(json.dumps(about))
    return tmp_path / "package"


def test_skin_tones_are_left_out_and_bytes_repeat(package, tmp_path):
    build(tmp_path, package)
    first = (tmp_path / FILE).read_bytes()
    with np.load(tmp_path / FILE) as file:
        assert file["labels"].tolist() == [1, 0]
        assert file["pictures"][:, 0, 0, 0].tolist() == [0, 2]
    build(tmp_path, package)
    assert (tmp_path / FILE).read_bytes() == first


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("package.json", b'{"name": "emoji-datasource-google", "version": "15.0.0"}', "got emoji-datasource-google@15"),
        ("package.json", b"{}", "must hold the npm package emoji-datasource-google@16.0.0, got None@None"),
        ("package.json", b"[]", "must hold the npm package emoji-datasource-google@16.0.0, got None@None"),
        ("package.json", b"\xff{", "package.json must be a file of the npm package"),
        ("emoji.json", b"", "emoji.json must be a file of the npm package"),
        ("img/google/64/a.png", b"GIF", "a.png must be a picture of the npm package"),
        ("img/google/64/c.png", png(np.zeros((8, 9, 3), np.uint8)), "c.png must have 64×64 pixels, got 9×8"),
    ],
)
def test_what_is_no_such_package(package, tmp_path, capsys, file, content, sentence):
    (package / file).write_bytes(content)
    with pytest.raises(DatasetError) as error:
        build(tmp_path, package)
    assert sentence in str(error.value)
    before = (FOLDER / FILE).read_bytes()
    assert main([str(package)]) == 2
    assert (FOLDER / FILE).read_bytes() == before, "nothing is written"
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["a", "b"]])
def test_the_build_wants_one_folder(capsys, arguments):
    assert main(arguments) == 2
    assert "PACKAGE must be one argument, the unpacked npm package" in capsys.readouterr().err


def test_a_folder_that_is_not_there(capsys, tmp_path):
    assert main([str(tmp_path / "none")]) == 2
    assert "package.json must be a file of the npm package" in capsys.readouterr().err
