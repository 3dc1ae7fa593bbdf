import math
import os
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save

import tiny_datasets
from elt_ref.arrays import tree_leaves, tree_map
from elt_ref.errors import RequestError
from elt_ref.measure import classify, load_feature_network
from elt_ref.measure.feature_network import FEATURES, FILE, HIDDEN, flatten
from elt_ref.run import fit_feature_network
from elt_ref.run.fit_feature_network import accuracy


@pytest.fixture(scope="module")
def shipped():
    return tiny_datasets.dataset_folder("digits") / FILE


@pytest.fixture(scope="module")
def network(shipped):
    return load_feature_network(shipped)


@pytest.fixture(scope="module")
def digits():
    return tiny_datasets.load("digits")


def test_shapes(network):
    classified = classify(network, np.zeros((3, 8, 8, 1), np.float32))
    assert classified.features.shape == (3, FEATURES)
    assert classified.logits.shape == (3, 10)
    assert classified.logits.dtype == np.float32
    assert network["hidden"]["weight"].shape == (64, HIDDEN)


def test_a_classification_in_plain_python(network, digits):
    """The whole network once more, number by number."""
    pixels = tiny_datasets.scaled(digits.test.examples[:1], digits.white)

    features = gelu(linear(gelu(linear(pixels.ravel().tolist(), network["hidden"])), network["features"]))
    classified = classify(network, pixels)
    np.testing.assert_allclose(classified.features[0], features, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(classified.logits[0], linear(features, network["classes"]), rtol=1e-4, atol=1e-4)
    assert classified.motion_logits is None


def linear(x, part):
    weight, bias = (part[name].tolist() for name in ("weight", "bias"))
    return [sum(a * row[j] for a, row in zip(x, weight, strict=True)) + offset for j, offset in enumerate(bias)]


def gelu(x):
    return [a * 0.5 * (1 + math.tanh(math.sqrt(2 / math.pi) * (a + 0.044715 * a**3))) for a in x]


def test_a_classification_of_a_clip_in_plain_python():
    """Every frame through the same map, then all of them, in their order, through the next."""
    clips = tiny_datasets.load("moving_digits")
    of_clips = load_feature_network(tiny_datasets.dataset_folder("moving_digits") / FILE)
    (clip,) = tiny_datasets.scaled(clips.test.examples[:1], clips.white)
    hidden = [number for frame in clip for number in gelu(linear(frame.ravel().tolist(), of_clips["hidden"]))]
    features = gelu(linear(hidden, of_clips["features"]))
    classified = classify(of_clips, clip[None])
    np.testing.assert_allclose(classified.features[0], features, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(classified.logits[0], linear(features, of_clips["classes"]), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(classified.motion_logits[0], linear(features, of_clips["motions"]), rtol=1e-4, atol=1e-4)


def test_a_picture_is_classified_as_a_clip_of_one_frame(network, digits):
    pictures = tiny_datasets.scaled(digits.test.examples[:5], digits.white)
    for one, other in zip(classify(network, pictures)[:2], classify(network, pictures[:, None])[:2], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("name", "least"), [("moving_digits", 0.97), ("bouncing_digits", 0.85)])
def test_it_recognises_held_out_clips_and_their_motions(name, least):
    clips = tiny_datasets.load(name)
    of_clips = load_feature_network(tiny_datasets.dataset_folder(name) / FILE)
    classified = classify(of_clips, tiny_datasets.scaled(clips.test.examples, clips.white))
    assert accuracy(classified.logits, clips.test.labels) >= least
    assert accuracy(classified.motion_logits, clips.motions.test) >= 0.99


def test_a_second_labelling_is_learned_beside_the_first(monkeypatch):
    """Clips of two points: the class is how bright they are, the motion which way they go."""
    draw = np.random.default_rng(0)
    labels, motions = draw.integers(2, size=200), draw.integers(2, size=200)
    clips = np.zeros((200, 2, 2, 2, 1), np.uint8)
    clips[np.arange(200), 0, 0, motions] = clips[np.arange(200), 1, 0, 1 - motions] = (4 + 4 * labels)[:, None]
    split = tiny_datasets.Split(clips, labels)
    known = {"description": "", "licence": "", "source": "", "classes": ("dark", "bright"), "white": 8}
    directions = tiny_datasets.Motions(("right", "left"), motions, motions)
    dataset = tiny_datasets.ClipDataset(name="points", train=split, test=split, motions=directions, **known)
    training = fit_feature_network.TRAINING.model_copy(update={"steps": 60, "warmup_steps": 5})
    monkeypatch.setattr(fit_feature_network, "TRAINING", training)
    classified = classify(fit_feature_network.fit_feature_network(dataset), tiny_datasets.scaled(clips, 8))
    assert accuracy(classified.logits, labels) > 0.95
    assert accuracy(classified.motion_logits, motions) > 0.95
    without = tiny_datasets.ClipDataset(name="points", train=split, test=split, **known)
    classified = classify(fit_feature_network.fit_feature_network(without), tiny_datasets.scaled(clips, 8))
    assert accuracy(classified.logits, labels) > 0.95
    assert classified.motion_logits is None


def test_it_recognises_held_out_digits(network, digits):
    logits = classify(network, tiny_datasets.scaled(digits.test.examples, digits.white)).logits
    accuracy = np.mean(logits.argmax(axis=1) == digits.test.labels)
    assert accuracy >= 0.97, f"the shipped network recognises only {accuracy:.3f} of the held-out digits"


def test_files_round_trip(tmp_path, network, shipped):
    path = tmp_path / FILE
    path.write_bytes(save(flatten(network)))
    assert path.read_bytes() == shipped.read_bytes()
    loaded = load_feature_network(path)
    assert all(map(np.array_equal, tree_leaves(loaded), tree_leaves(network)))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "threads"), [("digits", "2"), ("moving_digits", "1"), ("bouncing_digits", "1")])
def test_fitting_again_gives_the_shipped_file(tmp_path, name, threads):
    # In a process of its own, where nothing is checked: a tenth of the time.
    code = (
        "import pathlib, tiny_datasets as data\n"
        "from elt_ref.run.fit_feature_network import fit_beside\n"
        f"fit_beside(data.load('{name}'), pathlib.Path('again'))"
    )
    environment = os.environ | {"OPENBLAS_NUM_THREADS": threads}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, env=environment)
    assert (tmp_path / "again").read_bytes() == (tiny_datasets.dataset_folder(name) / FILE).read_bytes()


def test_pictures_of_another_size(network):
    with pytest.raises(RequestError, match="feature network: expected pictures of 64 values, got 192"):
        classify(network, np.zeros((1, 8, 8, 3), np.float32))
    with pytest.raises(RequestError, match="feature network: expected clips of 1 frames, got 4"):
        classify(network, np.zeros((1, 4, 8, 8, 1), np.float32))


def test_damaged_files(tmp_path, shipped):
    path = tmp_path / FILE
    content = shipped.read_bytes()
    for damaged in (b"", content[:-1], content[:100], b"no safetensors" * 9, save({"other": np.zeros(3)})):
        path.write_bytes(damaged)
        with pytest.raises(RequestError, match=rf"^feature network {path}: expected [^\n]*, got [^\n]*$"):
            load_feature_network(path)
    with pytest.raises(RequestError, match="expected a file, got none"):
        load_feature_network(tmp_path / "none")


def test_judging_is_one_picture_at_a_time(network, digits):
    pictures = tiny_datasets.scaled(digits.test.examples[:4], digits.white)
    alone = [classify(network, picture[None]).features[0] for picture in pictures]
    np.testing.assert_allclose(classify(network, pictures).features, alone, rtol=1e-5, atol=1e-6)
    assert tree_map(np.shape, network)["classes"]["bias"] == (10,)
