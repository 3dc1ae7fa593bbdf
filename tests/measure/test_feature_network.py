import math
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save

import tiny_datasets
from elt_ref.arrays import tree_leaves, tree_map
from elt_ref.errors import RequestError
from elt_ref.measure import judge, load_feature_network
from elt_ref.measure.feature_network import FEATURES, FILE, HIDDEN, flatten


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
    judgement = judge(network, np.zeros((3, 8, 8, 1), np.float32))
    assert judgement.features.shape == (3, FEATURES)
    assert judgement.logits.shape == (3, 10)
    assert judgement.logits.dtype == np.float32
    assert network["hidden"]["weight"].shape == (64, HIDDEN)


def test_a_judgement_in_plain_python(network, digits):
    """The whole network once more, number by number."""
    pixels = tiny_datasets.scaled(digits.test.examples[:1], digits.white)

    def linear(x, part):
        weight, bias = (network[part][name].tolist() for name in ("weight", "bias"))
        return [sum(a * row[j] for a, row in zip(x, weight, strict=True)) + offset for j, offset in enumerate(bias)]

    def gelu(x):
        return [a * 0.5 * (1 + math.tanh(math.sqrt(2 / math.pi) * (a + 0.044715 * a**3))) for a in x]

    features = gelu(linear(gelu(linear(pixels.ravel().tolist(), "hidden")), "features"))
    judgement = judge(network, pixels)
    np.testing.assert_allclose(judgement.features[0], features, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(judgement.logits[0], linear(features, "classes"), rtol=1e-4, atol=1e-4)


def test_it_recognises_held_out_digits(network, digits):
    logits = judge(network, tiny_datasets.scaled(digits.test.examples, digits.white)).logits
    accuracy = np.mean(logits.argmax(axis=1) == digits.test.labels)
    assert accuracy >= 0.97, f"the shipped network recognises only {accuracy:.3f} of the held-out digits"


def test_files_round_trip(tmp_path, network, shipped):
    path = tmp_path / FILE
    path.write_bytes(save(flatten(network)))
    assert path.read_bytes() == shipped.read_bytes()
    loaded = load_feature_network(path)
    assert all(map(np.array_equal, tree_leaves(loaded), tree_leaves(network)))


@pytest.mark.slow
def test_fitting_again_gives_the_shipped_file(tmp_path, shipped):
    # In a process of its own, where nothing is checked: a tenth of the time.
    code = (
        "import pathlib, tiny_datasets as data\n"
        "from elt_ref.run.fit_feature_network import fit_beside\n"
        "fit_beside(data.load('digits'), pathlib.Path('again'))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert (tmp_path / "again").read_bytes() == shipped.read_bytes()


def test_pictures_of_another_size(network):
    with pytest.raises(RequestError, match="feature network: expected pictures of 64 values, got 192"):
        judge(network, np.zeros((1, 8, 8, 3), np.float32))


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
    alone = [judge(network, picture[None]).features[0] for picture in pictures]
    np.testing.assert_allclose(judge(network, pictures).features, alone, rtol=1e-5, atol=1e-6)
    assert tree_map(np.shape, network)["classes"]["bias"] == (10,)
