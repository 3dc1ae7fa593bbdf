"""`elt-ref data`, and training on what was imported, from the folder of pictures to the evaluation."""

import gzip
import json
import os
import re
import shlex
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

import tiny_datasets
from elt_ref.config import TrainingConfig
from elt_ref.measure.feature_network import FILE
from elt_ref.run import fit_feature_network
from elt_ref.run.describe import KINDS
from elt_ref.run.evaluate import Evaluator
from elt_ref.run.folder import open_run

MODEL = {
    "model.layers": 1,
    "model.max_loops": 2,
    "model.width": 8,
    "model.heads": 1,
    "model.mlp_width": 8,
    "training.steps": 2,
    "training.batch_size": 4,
    "sampling.steps": 2,
}


def words_of(settings):
    return [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]


@pytest.fixture
def pictures(tmp_path):
    """Three classes of noisy pictures: dark, grey and bright."""
    draw = np.random.default_rng(0)
    for level, name in enumerate(("dark", "grey", "light")):
        folder = tmp_path / "pictures" / name
        folder.mkdir(parents=True)
        for number in range(12):
            noise = draw.integers(0, 60, (6, 6, 3)) + 90 * level
            Image.fromarray(noise.astype(np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "pictures"


def test_pictures_from_the_import_to_the_evaluation(done, refused, tmp_path, pictures, home, monkeypatch):
    quick = TrainingConfig(steps=5, batch_size=8, learning_rate=1e-3, warmup_steps=0)
    monkeypatch.setattr(fit_feature_network, "TRAINING", quick)
    result = done("data", "import", "pictures", pictures, "mine", "--height", 6, "--width", 6, "--colour")
    assert "mine" in result.out
    assert "3: dark, grey, light" in result.out
    assert "mine" in done("data", "list").out
    shutil.rmtree(pictures)

    settings = {
        **MODEL,
        "data.name": "mine",
        "tokenizer.patch_size": 3,
        "model.grid": [2, 2],
        "model.codebook_size": 6,
        "model.classes": 3,
    }
    run = tmp_path / "run"
    done("train", "digits-masked", *words_of(settings), "--out", run)

    picture = tmp_path / "drawn.png"
    done("sample", run, "--labels", "2,0", "--count", 4, "--out", picture)
    with Image.open(picture) as drawn:
        assert drawn.mode == "RGB", "the pictures are coloured"

    network = home / "mine" / FILE
    assert not network.exists()
    first = json.loads(done("evaluate", run, "--loops", "1,2", "--count", 10, "--json").out)
    assert network.exists(), "the feature network is not kept beside the data"
    monkeypatch.setattr(fit_feature_network, "fit_feature_network", None)  # it must not be fitted again
    again = json.loads(done("evaluate", run, "--loops", "1,2", "--count", 10, "--json").out)
    distances = [[row["frechet_distance"] for row in document["results"]] for document in (first, again)]
    assert distances[0] == distances[1]

    network.write_bytes(network.read_bytes()[:99])
    assert "feature network" in refused("evaluate", run, "--count", 10)


def write_tokens(path, *, codebook):
    draw = np.random.default_rng(1)
    tensors = {"tokens": draw.integers(0, 5, (30, 2, 3)), "labels": np.arange(30) % 2}
    metadata = {"codebook_size": "5"}
    if codebook:
        tensors["codebook"] = draw.random((5, 4), np.float32)
        metadata["patch_size"] = "2"
    save_file(tensors, path, metadata)


TOKENS = {**MODEL, "data.name": "codes", "model.grid": [2, 3], "model.codebook_size": 5, "model.classes": 2}


@pytest.fixture
def token_config(tmp_path):
    """A configuration without a tokenizer."""
    lines = ['name = "codes"', "[model]", "[data]", "[training]", "[sampling]"]
    path = tmp_path / "codes.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("codebook", [True, False], ids=["with a codebook", "without a codebook"])
def test_tokens_from_the_import_to_the_samples(command, done, refused, tmp_path, token_config, codebook):
    write_tokens(tmp_path / "codes.safetensors", codebook=codebook)
    assert "tokens, 2×3" in done("data", "import", "tokens", tmp_path / "codes.safetensors", "codes").out
    run = tmp_path / "run"
    result = done("train", token_config, *words_of(TOKENS), "--out", run)
    assert "Tokenizer" not in result.err, "nothing was tokenized"
    written = {"config.toml", "checkpoint.safetensors", "metrics.jsonl", "run.json"}
    assert {path.name for path in run.iterdir()} == written

    out = tmp_path / "drawn.safetensors"
    done("sample", run, "--count", 4, "--out", out)
    assert load_file(out)["tokens"].shape == (4, 2, 3)
    for words in (["sample", run, "--out"], ["data", "show", "codes", "--out"]):
        picture = tmp_path / f"{words[0]}.png"
        result = command(*words, picture)
        assert picture.exists() == codebook
        assert result.code == (0 if codebook else 2)
        assert codebook or re.fullmatch("elt-ref: [^\n]*codebook to draw them[^\n]*\n", result.err), result.err
    expected = "expected a data set of pictures or clips to compare with, got tokens"
    assert expected in refused("evaluate", run, "--count", 10)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"tokenizer.patch_size": 2},
            "tokenizer: expected no [tokenizer] section, because 'codes' holds tokens",
        ),
        ({"model.codebook_size": 6}, "model.codebook_size: expected 5 as in 'codes', got 6"),
        ({"model.grid": [3, 2]}, "model.grid: expected [2, 3] as in the data, got [3, 2]"),
        ({"model.classes": 3}, "model.classes: expected 2, as many as data set 'codes' has, got 3"),
    ],
)
def test_tokens_that_do_not_fit_leave_no_folder(done, refused, tmp_path, token_config, settings, expected):
    write_tokens(tmp_path / "codes.safetensors", codebook=True)
    done("data", "import", "tokens", tmp_path / "codes.safetensors", "codes")
    run = tmp_path / "run"
    assert expected in refused("train", token_config, *words_of({**TOKENS, **settings}), "--out", run)
    assert not run.exists()


def test_the_command_for_tokens_is_a_short_training_without_the_papers_guidance(done, tmp_path):
    write_tokens(tmp_path / "codes.safetensors", codebook=True)
    command = done("data", "import", "tokens", tmp_path / "codes.safetensors", "codes").out.splitlines()[-1]
    for setting in ("training.steps=800", "training.batch_size=64", "sampling.guidance_scale=1.0"):
        assert f"--set {setting} " in command


def test_a_run_whose_imported_tokenizer_is_gone(done, refused, tmp_path, token_config, home):
    write_tokens(tmp_path / "codes.safetensors", codebook=True)
    done("data", "import", "tokens", tmp_path / "codes.safetensors", "codes")
    done("train", token_config, *words_of(TOKENS), "--out", tmp_path / "run")
    shutil.rmtree(home)
    assert "there must be a dataset 'codes'" in refused("sample", tmp_path / "run", "--out", tmp_path / "a.png")


# --- every kind of data, as the documentation says


def idx_bytes(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


@pytest.fixture
def examples_of_the_page(tmp_path, monkeypatch):
    """What the imports of docs/data.md read, small, in the present folder."""
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)

    def noise(*shape):
        return draw.integers(0, 256, shape, np.uint8)

    for name in ("cat", "dog"):
        Path("cats-and-dogs", name).mkdir(parents=True)
        for number in range(6):
            Image.fromarray(noise(20, 30, 3)).save(f"cats-and-dogs/{name}/{number}.png")
    for name in ("jump", "walk"):
        Path("moves", name, "three").mkdir(parents=True)
        for suffix in ("gif", "webp"):
            first, *others = [Image.fromarray(noise(16, 16)) for _ in range(6)]
            first.save(f"moves/{name}/one.{suffix}", save_all=True, append_images=others)
        for number in range(11):
            Image.fromarray(noise(16, 16)).save(f"moves/{name}/three/frame{number}.png")
    Path("mnist").mkdir()
    for part, count in (("train", 20), ("t10k", 10)):
        images, labels = idx_bytes(noise(count, 28, 28)), idx_bytes(np.arange(count) % 5)
        Path(f"mnist/{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        Path(f"mnist/{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    cifar = Path("cifar-10-batches-bin")
    cifar.mkdir()
    for name in ("data_batch_1", "data_batch_2", "test_batch"):
        records = noise(6, 1 + 3072)
        records[:, 0] = np.arange(6) % 2
        (cifar / f"{name}.bin").write_bytes(records.tobytes())
    (cifar / "batches.meta.txt").write_text("airplane\nautomobile\n", encoding="utf-8")
    np.savez("arrays.npz", images=noise(12, 9, 9), labels=np.arange(12) % 3)
    save_file({"tokens": draw.integers(0, 5, (30, 2, 3)), "labels": np.arange(30) % 2}, "imagenet-tokens.safetensors")
    latents = {"latents": draw.random((8, 4, 4, 2), np.float32), "labels": np.arange(8) % 2}
    save_file(latents, "imagenet-latents.safetensors")


PAGE = Path(__file__).parents[2] / "docs" / "data.md"
IMPORTS = re.findall(r"^    elt-ref (data import [a-z].*)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_the_page_has_an_example_of_every_kind():
    assert {line.split()[2] for line in IMPORTS} == set(KINDS)


@pytest.mark.parametrize("line", IMPORTS)
@pytest.mark.usefixtures("examples_of_the_page")
def test_an_import_of_the_page_and_the_command_it_prints(done, home, line):
    kind, name = line.split()[2], line.split()[4]
    result = done(*shlex.split(line))
    described, training = result.out.rstrip("\n").rsplit("\n", 1)
    assert described == done("data", "show", name).out.rstrip("\n")
    sheet = home / name / f"{name}.png"
    assert sheet.exists() == (kind not in ("tokens", "latents")), "tokens have no codebook here"
    if sheet.exists():
        assert f"Wrote {sheet}.\n" in result.err
        with Image.open(sheet) as picture:
            picture.load()

    command, *words = shlex.split(training)
    assert command == "elt-ref"
    quick = words_of({"training.steps": 2, "training.batch_size": 2, "model.width": 8, "model.heads": 1})
    done(*words, *quick)
    assert Path("runs", name, "checkpoint.safetensors").exists()


def test_a_codebook_makes_imported_tokens_drawable(done, tmp_path, home):
    write_tokens(tmp_path / "codes.safetensors", codebook=True)
    done("data", "import", "tokens", tmp_path / "codes.safetensors", "codes")
    with Image.open(home / "codes" / "codes.png") as picture:
        picture.load()


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        ((8, 8), '--set "model.grid=[4, 4]" --out'),
        ((9, 6), '--set "model.grid=[3, 2]" --set tokenizer.patch_size=3 --out'),
        ((5, 7), '--set "model.grid=[5, 7]" --set tokenizer.patch_size=1 --out'),
        ((4, 8, 6, 1), '--set "model.grid=[2, 4, 3]" --out'),
        ((3, 6, 6, 1), '--set "model.grid=[1, 3, 3]" --set tokenizer.patch_frames=3 --out'),
    ],
)
def test_the_printed_grid_fits_the_data(done, tmp_path, sides, expected):
    images = np.random.default_rng(0).integers(0, 256, (60, *sides), np.uint8)
    np.savez(tmp_path / "file.npz", images=images, labels=np.arange(60) % 2)
    assert expected in done("data", "import", "npz", tmp_path / "file.npz", "mine").out


def test_the_printed_codebook_has_no_more_codes_than_the_data_have_patches(done, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = np.kron(np.arange(20)[:, None, None], np.ones((1, 4, 4))).astype(np.uint8)
    np.savez(tmp_path / "file.npz", images=images, labels=np.zeros(20, int))
    training = done("data", "import", "npz", tmp_path / "file.npz", "mine").out.splitlines()[-1]
    assert " --set model.codebook_size=16 " in training  # of twenty flat pictures four are held out
    done(*shlex.split(training)[1:], "--steps", 1, "--set", "training.batch_size=2")


def test_an_import_that_fails_leaves_nothing_behind(refused, tmp_path, home):
    np.savez(tmp_path / "file.npz", images=np.zeros((3, 2, 2)), labels=np.arange(2))
    assert "must hold one label for each of its 3 examples, got 2" in refused(
        "data", "import", "npz", tmp_path / "file.npz", "mine"
    )
    assert not home.exists()


def test_a_class_whose_name_is_no_utf8(refused, pictures, home):
    (pictures / "dark").rename(pictures / os.fsdecode(b"na\xefve"))
    assert r"got 'na\udcefve'" in refused("data", "import", "pictures", pictures, "mine")
    assert not home.exists()


# --- classes and splits


def idx_folder(root, labels, held_out):
    """IDX files with these labels, as MNIST has them."""
    root.mkdir()
    for part, some in (("train", labels), ("t10k", held_out)):
        pictures = np.random.default_rng(len(some)).integers(0, 256, (len(some), 4, 4), np.uint8)
        head = struct.pack(">IIII", 0x803, *pictures.shape)
        (root / f"{part}-images-idx3-ubyte").write_bytes(head + pictures.tobytes())
        content = struct.pack(">II", 0x801, len(some)) + np.array(some, np.uint8).tobytes()
        (root / f"{part}-labels-idx1-ubyte").write_bytes(content)
    return root


IDX = {**MODEL, "data.name": "mine", "tokenizer.patch_size": 2, "model.codebook_size": 4, "model.grid": [2, 2]}


def test_a_class_without_examples_is_named_and_neither_drawn_nor_judged(done, tmp_path, monkeypatch):
    quick = TrainingConfig(steps=5, batch_size=8, learning_rate=1e-3, warmup_steps=0)
    monkeypatch.setattr(fit_feature_network, "TRAINING", quick)
    sentence = "Classes without training examples, which cannot be learned: '0'."
    labels = [1, 2, 3, 4] * 5
    result = done("data", "import", "idx", idx_folder(tmp_path / "idx", labels, labels), "mine")
    assert sentence in result.err
    assert sentence in done("data", "show", "mine").out
    run = tmp_path / "run"
    assert sentence in done("train", "digits-masked", *words_of(IDX | {"model.classes": 5}), "--out", run).err
    done("sample", run, "--count", 8, "--out", tmp_path / "drawn.safetensors")
    assert load_file(tmp_path / "drawn.safetensors")["labels"].tolist() == [1, 2, 3, 4] * 2
    assert Evaluator(open_run(run)).labels.tolist() == [1, 2, 3, 4]


def test_one_held_out_example_is_refused_before_work(done, refused, tmp_path, home):
    result = done("data", "import", "idx", idx_folder(tmp_path / "idx", [0, 1] * 4, [1]), "mine")
    assert "Held-out examples: 1, and `evaluate` needs 2." in result.err
    run = tmp_path / "run"
    assert (
        "Held-out examples: 1"
        in done("train", "digits-masked", *words_of(IDX | {"model.classes": 2}), "--out", run).err
    )
    sentence = "mine: expected at least 2 held-out examples to judge by, got 1"
    assert refused("evaluate", run, "--count", 10) == sentence
    assert refused("compare", run, "--out", tmp_path / "compared", "--count", 10) == sentence
    assert not (tmp_path / "compared").exists()
    assert not (home / "mine" / FILE).exists()


def test_data_that_lack_nothing_are_not_remarked_on(done):
    for name in ("digits", "emoji", "photos", "shapes"):
        assert tiny_datasets.load(name).remarks == ()
    assert "remarks" not in done("data", "show", "digits").out


# --- list and show


def test_list_names_every_dataset(done):
    out = done("data", "list").out
    for name in tiny_datasets.names():
        assert name in out
    assert "1437" in out, "the sizes are missing"


def test_a_damaged_neighbour_does_not_hide_the_others(done, home, tmp_path, monkeypatch):
    done("data", "import", "idx", idx_folder(tmp_path / "idx", [0, 1] * 4, [0, 1]), "whole")
    shutil.copytree(home / "whole", home / "damaged")
    (home / "damaged" / "dataset.json").write_text("{")
    (home / "closed").mkdir()
    looked = Path.is_file

    def is_file(path):
        if path.parent.name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return looked(path)

    monkeypatch.setattr(Path, "is_file", is_file)  # whoever runs the tests may be allowed everything
    result = done("data", "list")
    assert "whole" in result.out
    assert "damaged/dataset.json must be JSON" in result.err
    assert "'damaged' is left out" in result.err
    assert "'closed' is left out" in result.err


def test_a_sheet_is_a_png(refused, tmp_path):
    assert refused("data", "show", "digits", "--out", tmp_path / "x.jpg").startswith(
        "--out: expected a name ending in .png"
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--guidance", "1e39"], "sampling.guidance_scale: expected "),
        (["--guidance", "nan"], "sampling.guidance_scale: expected "),
        (["--steps", "9" * 30], "sampling.steps: expected "),
        (["--count", "9" * 30], "--count: expected from 1 to 1,000,000"),
        (["--labels", "9" * 30], "--labels: expected integers of at most 64 bits"),
        (["--labels", "9" * 5000], "--labels: expected integers"),
        (["--loops", "9" * 5000], "loops: expected "),
    ],
)
def test_numbers_at_the_edge_of_a_request(refused, trained, tmp_path, words, expected):
    sentence = refused("sample", trained, "--out", tmp_path / "x.png", *words)
    assert expected in sentence
    assert len(sentence) <= 300


def test_show_describes_the_digits(done, tmp_path):
    out = done("data", "show", "digits").out
    for expected in ("1437 to train on", "360 held out", "10: 0, 1, 2", "pictures, 8×8×1", "licence", "source"):
        assert expected in out, f"'{expected}' is missing: {out}"
    result = done("data", "show", "digits", "--out", tmp_path / "digits.png")
    assert f"Wrote {tmp_path / 'digits.png'}" in result.err
    with Image.open(tmp_path / "digits.png") as picture:
        picture.load()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["show", "digts"], "the nearest known name is 'digits'"),
        (["show"], "Missing argument 'NAME'"),
        (["import", "picture", "x", "mine"], "data import: expected one of pictures, clips, idx, cifar, npz, tokens"),
        (["import", "idx", "x", "mine", "--frames", "3"], "--frames: expected only with clips, got it with idx"),
        (["import", "tokens", "x", "mine", "--grey"], "--colour: expected only with pictures, clips, idx, cifar, npz"),
        (["import", "cifar", "x", "mine", "--test-fraction", "0.1"], "--test-fraction: expected only with pictures"),
        (["import", "pictures", "nowhere", "mine"], "nowhere"),
        (["import", "tokens", "nowhere", "mine"], "nowhere"),
        (["import", "tokens", "nowhere", "digits"], "which already exists"),
    ],
)
def test_wrong_requests(refused, words, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert expected in refused("data", *words)
