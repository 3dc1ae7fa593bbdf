"""A page as a program, and its parameters in the package's checkpoints."""

import os
import subprocess
import sys

import numpy as np
import pytest
from page_sizes import FAMILIES, PAGES, PRESETS, equal_to_1e_11, page_of
from PIL import Image

import tiny_datasets
from elt_ref import forward
from elt_ref.arrays import tree_items, tree_map
from elt_ref.config import validate
from elt_ref.generation import DecodeNoise, decode, denoise, generate
from elt_ref.measure import classify, fit_gaussian, frechet_distance, load_feature_network
from elt_ref.model import declare_parameters
from elt_ref.objective import Batch
from elt_ref.training import CHECKPOINT, TrainState, load_checkpoint, save_checkpoint, train, zero_moments

every_family = pytest.mark.parametrize("family", FAMILIES)
SMALL = {"layers": 1, "width": 16, "heads": 2, "mlp_width": 16}


# --- as a program


@pytest.mark.few(1)
@every_family
def test_it_trains_draws_and_loads_nothing_else_of_the_package(family, tmp_path):
    code = f"""
import runpy, sys
sys.argv = ["page", "--steps", "3", "--out", {str(tmp_path / "new")!r}]
runpy.run_module("elt_ref.paper.{family}", run_name="__main__")
print(*(name for name in sys.modules if name.startswith("elt_ref")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *_, progress, where, loaded = done.stdout.splitlines()
    picture = tmp_path / "new" / f"{family}.png"
    assert "step 3 of 3" in progress
    assert where.endswith(str(picture))
    own = (family, "command", "mistakes")
    used = ["diffusion"] if family == "drifting" else []
    assert set(loaded.split()) <= {"elt_ref", "elt_ref.paper", *(f"elt_ref.paper.{name}" for name in (*own, *used))}
    with Image.open(picture) as sheet:
        assert sheet.size == (880, 576)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@every_family
def test_the_whole_run_takes_eight_minutes_on_one_thread_and_learns_digits(family, tmp_path):
    code = f"""
import runpy, sys, time
import numpy as np
sys.argv = ["page", "--out", {str(tmp_path)!r}]
page = runpy.run_module("elt_ref.paper.{family}", run_name="__main__")
seconds = time.process_time()
drawn = {{str(loops): page["sample"](page["parameters"], np.arange(500) % 10, loops) for loops in (1, 2, 3, 4, 6)}}
if "codebook" in page:
    drawn = {{loops: page["codebook"][tokens] for loops, tokens in drawn.items()}}
np.savez({str(tmp_path / "drawn.npz")!r}, seconds=seconds, **drawn)
"""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    found = dict(np.load(tmp_path / "drawn.npz"))
    assert found.pop("seconds") <= 480

    digits, labels = tiny_datasets.load("digits"), np.arange(500) % 10
    network = load_feature_network(tiny_datasets.dataset_folder("digits") / "feature_network.safetensors")
    real = fit_gaussian(classify(network, tiny_datasets.scaled(digits.train.examples, digits.white)).features)
    for loops, drawn in found.items():
        if family == "masked":
            pictures = drawn.reshape(-1, 4, 4, 2, 2).swapaxes(2, 3).reshape(-1, 8, 8, 1)
        else:
            pictures = (drawn + 1) / 2
        judged = classify(network, np.float32(np.clip(pictures, 0, 1)))
        assert np.mean(judged.logits.argmax(axis=1) == labels) >= 0.9, f"L = {loops}"
        assert frechet_distance(fit_gaussian(judged.features), real) <= 6, f"L = {loops}"


# --- checkpoints


def small(family):
    """Return the preset in a small size that its page is set to, and examples to learn from."""
    preset = PRESETS[family].model_dump()
    training = {"steps": 4, "batch_size": 8, "dtype": "float64"}
    sections = {"model": preset["model"] | SMALL, "training": preset["training"] | training}
    if family == "drifting":
        sections["training"]["batch_size"] = 10
        sections["drifting"] = preset["drifting"] | {"positives": 2}
    config = validate(preset | sections, where="test")
    random = np.random.default_rng(0)
    labels = np.arange(32) % config.model.classes
    if family == "masked":
        return config, Batch(random.integers(config.model.codebook_size, size=(32, config.model.tokens)), labels)
    return config, Batch(random.standard_normal((32, *config.model.shape)), labels)


@pytest.fixture(params=FAMILIES)
def family(request):
    with page_of(small(request.param)[0]):
        yield request.param


def package_sample(parameters, config, labels, loops, seed):
    """Return the package's samples of the page's noise."""
    random = np.random.default_rng(seed)
    if config.model.family == "masked":
        shape = (len(labels), config.model.tokens)

        def noise(_step):
            return DecodeNoise(random.gumbel(size=(*shape, config.model.codebook_size)), random.gumbel(size=shape))

        return list(decode(parameters, config, labels, noise, loops=loops))[-1].answer
    shape = (len(labels), *config.model.shape)
    initial = random.standard_normal(shape)
    if config.model.family == "drifting":
        return generate(parameters, config, labels, initial, loops=loops)[0]
    return list(denoise(parameters, config, labels, initial, lambda _: random.standard_normal(shape), loops=loops))[
        -1
    ].noisy


def assert_same_network(page, parameters, config, examples):
    """Assert that predictions and samples of the page are those of the package, at several loop counts."""
    inputs = (
        (examples.examples, np.linspace(0, 1, 32), examples.labels) if config.model.family == "diffusion" else examples
    )
    steps = {} if config.model.family == "drifting" else {"steps": config.sampling.steps}
    for loops in (1, 3, 6):
        equal_to_1e_11(page.forward(parameters, *inputs, loops), forward(parameters, config, *inputs, loops=loops))
        got = page.sample(parameters, np.arange(10), loops, **steps, seed=1)
        expected = package_sample(parameters, config, np.arange(10), loops, seed=1)
        equal_to_1e_11(got, expected)


def test_a_checkpoint_of_the_package_runs_on_the_page(family, tmp_path):
    config, examples = small(family)
    train(config, examples, tmp_path)
    state = load_checkpoint(tmp_path / CHECKPOINT, config)
    assert_same_network(PAGES[family], state.average, config, examples)


def test_parameters_of_the_page_are_a_checkpoint_of_the_package(family, tmp_path, capsys):
    config, examples = small(family)
    page = PAGES[family]
    parameters = tree_map(np.float64, page.train(*examples, 4))
    assert "step 4 of 4" in capsys.readouterr().out
    moments = zero_moments(parameters)
    save_checkpoint(tmp_path / CHECKPOINT, TrainState(4, parameters, moments, parameters), config)
    state = load_checkpoint(tmp_path / CHECKPOINT, config)
    equal_to_1e_11(state.average, parameters)
    assert_same_network(page, state.average, config, examples)


@every_family
def test_initial_parameters_are_distributed_as_the_packages(family):
    got = dict(tree_items(PAGES[family].initial_parameters(np.random.default_rng(0))))
    declared = dict(tree_items(declare_parameters(PRESETS[family])))
    assert {name: leaf.shape for name, leaf in got.items()} == {name: leaf.shape for name, leaf in declared.items()}
    for name, leaf in got.items():
        expected = declared[name].initial(np.random.default_rng(1), leaf.shape)
        assert leaf.dtype == np.float32
        assert np.std(leaf) == pytest.approx(np.std(expected), rel=0.1), name
        assert np.abs(leaf).max() == pytest.approx(np.abs(expected).max(), rel=0.4), name
