"""The JavaScript port: judged through the protocol, against the package at random sizes, and outside Node."""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import examples, make_config, make_diffusion_config, random_labels, random_parameters, random_tokens

from elt_ref import forward
from elt_ref.arrays import tree_items
from elt_ref.conformance.case import Stored, Vector
from elt_ref.conformance.clauses import clauses
from elt_ref.conformance.doors import ProcessDoor
from elt_ref.conformance.failures import BackendFailure
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.run.idea import load_idea
from elt_ref.training import TrainState, save_checkpoint, zero_moments

NODE = shutil.which("node")
pytestmark = [pytest.mark.ports, pytest.mark.skipif(NODE is None, reason="needs node"), pytest.mark.timeout(600)]

PORTS = Path(__file__).parents[2] / "docs" / "ports"
ADAPTER = shlex.join(["node", str(PORTS / "elt_backend.mjs")])
LACKING = {
    "BLOCK-03": "masked_gradient",
    "DIFFDISTIL-02": "diffusion_gradient",
    "DISTIL-03": "masked_gradient",
    "DISTIL-04": "masked_gradient",
    "GRAD-01": "masked_gradient",
    "SHARE-01": "masked_gradient",
    "COUNT-01": "count",
    "METRIC-01": "frechet_distance",
    "METRIC-02": "inception_score",
    "STEP-01": "optimizer_step",
    "STEP-02": "clip_gradient",
    "STEP-04": "moving_average",
    "STEP-05": "masked_training",
    "STEP-06": "diffusion_training",
    "STEP-07": "masked_training_across",
    "DRIFT-01": "drifting_states, drifting_forward",
    **dict.fromkeys(["DRIFT-02", "DRIFT-03", "DRIFT-04", "DRIFT-05"], "drift_field"),
    "DRIFT-06": "drifting_objective",
    "DRIFT-07": "drifting_gradient",
}
"""The clauses that need an operation of training, of measures or of drifting; the port passes all others."""
TOLERANCE = {"float64": 1e-12, "float32": 1e-4}
few = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_it_passes_every_clause_that_needs_no_training():
    program = "import sys; from elt_ref.cli import main; sys.argv[0] = 'elt-ref'; main()"
    words = [sys.executable, "-c", program, "conform", "run", "--exec", ADAPTER, "--json"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.stdout, f"exit code {ended.returncode}: {ended.stderr[-2000:]}"
    document = json.loads(ended.stdout)
    rows = {row["id"]: row for row in document["clauses"]}
    assert rows.keys() == clauses().keys()
    wrong = [f"{id_}: {row['status']}, {row['message']}" for id_, row in rows.items() if row["status"] != "PASS"]
    assert {id_ for id_, row in rows.items() if row["status"] != "PASS"} == LACKING.keys(), "\n".join(wrong)
    for id_, operation in LACKING.items():
        assert rows[id_]["status"] == "UNSUPPORTED"
        assert f"needs {operation}, which the backend does not declare" in rows[id_]["message"]
    assert "its cases of masked_forward pass" in rows["BLOCK-03"]["message"]
    awarded = {profile["name"] for profile in document["profiles"] if profile["awarded"]}
    assert awarded == {"sampler", "clips"}
    assert set(document["backend"]["dtypes"]) == {"float64", "float32"}
    assert ended.returncode == 0


@pytest.fixture(scope="module")
def port():
    """One process that answers every question of this module."""
    door = ProcessDoor(ADAPTER)
    described = door.describe()

    def ask(operation, dtype, **asked):
        assert operation in described.operations
        return door.call(Vector(Stored.model_construct(operation=operation, outputs={}), {}, None), dtype, asked)

    yield ask
    door.close()


def agree(port, operation, dtype, **asked):
    """Ask the port and the package; integers must be equal."""
    found, right = port(operation, dtype, **asked), getattr(ReferenceBackend(), operation)(**asked)
    assert found.keys() == right.keys()
    for name, value in right.items():
        assert found[name].dtype == value.dtype
        assert found[name].shape == value.shape
        if value.dtype.kind == "f":
            assert np.abs(found[name] - value).max() <= TOLERANCE[dtype] * np.abs(value).max(), name
        else:
            assert np.array_equal(found[name], value), name


def sections(config, *names):
    return {name: getattr(config, name).model_dump(mode="json") for name in names}


@few
@given(example=examples(), loops=st.integers(1, 6))
def test_the_masked_network_is_the_packages(port, example, loops):
    asked = {
        **sections(example.config, "model"),
        "parameters": dict(tree_items(example.parameters)),
        "tokens": example.tokens,
        "labels": example.labels,
        "loops": loops,
    }
    for operation in ("masked_states", "masked_layers", "masked_forward"):
        agree(port, operation, example.config.training.dtype, **asked)


@few
@given(
    example=examples(dtypes=("float64",)),
    loops=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    scale=st.sampled_from([0.0, 1.0, 3.0]),
    schedule=st.sampled_from(["constant", "ramp"]),
    temperature=st.sampled_from(["plain", "elt"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_decoding_is_the_packages(port, example, loops, scale, schedule, temperature, seed):
    config = make_config(
        sampling={"guidance_scale": scale, "guidance_schedule": schedule, "sampling_temperature": temperature},
        **example.config.model.model_dump(),
    )
    draw = np.random.default_rng(seed)
    shape = len(loops), *example.tokens.shape
    asked = sections(config, "model", "sampling")
    del asked["sampling"]["loops"]
    agree(
        port,
        "masked_sample",
        "float64",
        **asked,
        parameters=dict(tree_items(example.parameters)),
        tokens=example.tokens,
        labels=example.labels,
        token_noise=draw.gumbel(size=(*shape, config.model.codebook_size)),
        confidence_noise=draw.gumbel(size=shape),
        loops=loops,
    )


@st.composite
def diffusion_examples(draw):
    heads, patch = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    shape = patch * draw(st.integers(1, 3)), patch * draw(st.integers(1, 3)), draw(st.integers(1, 3))
    return make_diffusion_config(
        diffusion={
            "shift": draw(st.sampled_from([0.0, -1.5])),
            "prediction": draw(st.sampled_from(["x0", "epsilon", "v"])),
            "sampler": draw(st.sampled_from(["ancestral", "ddim"])),
            "variance": draw(st.sampled_from(["small", "large", "interpolated"])),
            "clip": draw(st.sampled_from([None, 1.0])),
        },
        layers=draw(st.integers(1, 3)),
        heads=heads,
        width=heads * 4 * draw(st.integers(1, 3)),
        mlp_width=draw(st.integers(1, 12)),
        shape=shape,
        patch_size=patch,
        time_features=2 * draw(st.integers(1, 4)),
        dtype=draw(st.sampled_from(["float64", "float32"])),
    )


@few
@given(config=diffusion_examples(), batch=st.integers(1, 3), loops=st.integers(1, 6), seed=st.integers(0, 2**32 - 1))
def test_the_diffusion_network_and_its_sampler_are_the_packages(port, config, batch, loops, seed):
    draw, dtype = np.random.default_rng(seed), config.training.dtype
    known = {
        **sections(config, "model"),
        "parameters": dict(tree_items(random_parameters(config, seed))),
        "labels": random_labels(config, batch, seed),
    }
    noisy, step_noise = (
        draw.standard_normal((*steps, batch, *config.model.shape)).astype(dtype) for steps in ((), (3,))
    )
    time = draw.random(batch).astype(dtype)
    for operation in ("diffusion_states", "diffusion_layers", "diffusion_forward"):
        agree(port, operation, dtype, **known, noisy=noisy, time=time, loops=loops)
    if dtype == "float64":  # a step of sampling may multiply float32's rounding a hundredfold
        asked = {**known, **sections(config, "diffusion", "sampling"), "loops": [loops, 1, 2]}
        del asked["sampling"]["loops"]
        agree(port, "diffusion_sample", dtype, **asked, initial_noise=noisy, step_noise=step_noise)


OUTSIDE_NODE = """
import fs from "node:fs";
import vm from "node:vm";
const [module, checkpoint, question] = process.argv.slice(1);
const elt = new vm.SourceTextModule(fs.readFileSync(module, "utf8"), { context: vm.createContext({ TextDecoder }) });
await elt.link(() => { throw new Error("the module imports another"); });
await elt.evaluate();
const { readSafetensors, tree, tensor, maskedNetwork, forward } = elt.namespace;
const bytes = fs.readFileSync(checkpoint);
const tensors = readSafetensors(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
const { model, tokens, labels, loops } = JSON.parse(question);
const ids = (rows, shape) => tensor(Int32Array.from(rows.flat()), shape);
const inputs = [ids(tokens, [tokens.length, tokens[0].length]), ids(labels, [labels.length])];
const logits = forward(maskedNetwork(tree(tensors, "average"), model, ...inputs), loops);
console.log(JSON.stringify([logits.shape, ...logits.data]));
"""


def test_the_module_reads_a_checkpoint_where_nothing_of_node_is(tmp_path):
    """A browser is such a place; a context of its own has the language and no more."""
    config = make_config(dtype="float32")
    parameters, average = random_parameters(config), random_parameters(config, 1)
    save_checkpoint(tmp_path / "run", TrainState(3, parameters, zero_moments(parameters), average), config)
    tokens, labels = random_tokens(config, 2), random_labels(config, 2)
    question = {**sections(config, "model"), "tokens": tokens.tolist(), "labels": labels.tolist(), "loops": 5}
    words = ["node", "--no-warnings", "--experimental-vm-modules", "--input-type=module", "-e", OUTSIDE_NODE]
    ended = subprocess.run(
        [*words, PORTS / "elt.mjs", tmp_path / "run", json.dumps(question)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    shape, *logits = json.loads(ended.stdout)
    right = forward(average, config, tokens, labels, loops=5)
    assert shape == list(right.shape)
    np.testing.assert_allclose(np.reshape(logits, shape), right, rtol=1e-4, atol=1e-4)


def test_a_checkpoint_with_an_idea_is_refused(tmp_path):
    config = make_config(dtype="float32")
    parameters = random_parameters(config)
    state = TrainState(3, parameters, zero_moments(parameters), parameters)
    save_checkpoint(tmp_path / "run", state, config, load_idea("every_loop"))
    words = ["node", "--no-warnings", "--experimental-vm-modules", "--input-type=module", "-e", OUTSIDE_NODE]
    ended = subprocess.run(
        [*words, PORTS / "elt.mjs", tmp_path / "run", "{}"], capture_output=True, text=True, check=False
    )
    assert "expected a checkpoint of the paper's network, got one that was trained with an idea" in ended.stderr


def test_an_error_is_an_answer_and_the_program_goes_on(port):
    one = np.ones(1)
    with pytest.raises(BackendFailure, match=r"expected shapes that stretch to each other, got \[2\] \[3\]"):
        port("guide", "float64", conditional=np.ones(2), unconditional=np.ones(3), scale=2.0)
    assert port("guide", "float64", conditional=3 * one, unconditional=one, scale=2.0)["guided"] == 5
