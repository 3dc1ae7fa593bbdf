"""The PyTorch port of the documentation: every operation against the reference, checkpoints, two processes as one."""

import importlib.util
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from networks import (
    make_config,
    make_diffusion_config,
    make_drifting_config,
    random_labels,
    random_parameters,
    random_tokens,
)
from safetensors.numpy import save_file

from elt_ref.arrays import tree_items, tree_leaves
from elt_ref.conformance.operations import OPERATIONS, TAPS
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.generation import sample
from elt_ref.model import forward
from elt_ref.objective import Batch, draw
from elt_ref.run.idea import load_idea
from elt_ref.training import (
    Moments,
    TrainState,
    load_checkpoint,
    save_checkpoint,
    train,
    train_step,
    zero_moments,
)

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.ports

PORTS = Path(__file__).parents[2] / "docs" / "ports"
TOLERANCE = {"float64": 1e-9, "float32": 5e-4}
ROUGH = {"frechet_distance": 1e-7}  # the root of a singular covariance makes 1e-8 of the rounding of a zero
DTYPES = list(TOLERANCE)
BATCH, STEPS = 3, 4


def load(name):
    specification = importlib.util.spec_from_file_location(name, PORTS / f"{name}.py")
    sys.modules[name] = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@cache
def port():
    torch.set_num_threads(1)
    return load("elt_torch")


@cache
def backend():
    port()
    return load("elt_torch_backend").Backend()


@cache
def script():
    port()
    return load("elt_torch_distributed")


def flat(parameters):
    return dict(tree_items(parameters))


def layer(config):
    of_the_first = "block.0."
    named = flat(random_parameters(config)).items()
    return {name.removeprefix(of_the_first): value for name, value in named if name.startswith(of_the_first)}


def sections(config, *names):
    return {name: getattr(config, name).model_dump(mode="json") for name in names}


DRAW = np.random.default_rng(7)
MASKED = make_config(grid=(2, 3), training={"steps": 6, "warmup_steps": 2, "weight_decay": 0.1, "epsilon": 1e-3})
DIFFUSION = make_diffusion_config(training={"steps": 6, "warmup_steps": 2, "schedule": "constant", "epsilon": 1e-3})
OPTIMIZED = {"linear.weight": (3, 4), "linear.bias": (4,), "embedding.word": (5, 3)}


def normal(*shape):
    return DRAW.standard_normal(shape)


def uniform(*shape):
    return DRAW.random(shape)


def integers(high, *shape):
    return DRAW.integers(0, high, shape)


def tree():
    return {name: normal(*shape) for name, shape in OPTIMIZED.items()}


def masked_inputs():
    return {
        **sections(MASKED, "model"),
        "parameters": flat(random_parameters(MASKED)),
        "tokens": random_tokens(MASKED, BATCH),
        "labels": np.array([0, 2, MASKED.model.classes]),
    }


def masked_objective(student_loops, reduction, smoothing):
    return {
        **masked_inputs(),
        "tokens": random_tokens(MASKED, BATCH, unknown=0),
        "labels": random_labels(MASKED, BATCH),
        "mask": np.array([[1, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1], [1, 1, 1, 1, 1, 1]], bool),
        "student_loops": student_loops,
        "truth_weight": 0.3,
        "reduction": reduction,
        "label_smoothing": smoothing,
    }


def noise_settings(**settings):
    return make_diffusion_config(diffusion=settings).diffusion.model_dump(mode="json")


def diffusion_inputs():
    return {
        **sections(DIFFUSION, "model"),
        "parameters": flat(random_parameters(DIFFUSION)),
        "noisy": normal(BATCH, *DIFFUSION.model.shape),
        "time": uniform(BATCH),
        "labels": np.array([0, 2, DIFFUSION.model.classes]),
    }


def diffusion_objective(student_loops, reduction, **diffusion):
    return {
        **without(diffusion_inputs(), "noisy"),
        "labels": random_labels(DIFFUSION, BATCH),
        "clean": normal(BATCH, *DIFFUSION.model.shape),
        "noise": normal(BATCH, *DIFFUSION.model.shape),
        "diffusion": noise_settings(**diffusion),
        "student_loops": student_loops,
        "truth_weight": 0.3,
        "reduction": reduction,
    }


def without(arguments, *names):
    return {name: value for name, value in arguments.items() if name not in names}


def decoding(step, temperature):
    tokens = random_tokens(MASKED, BATCH)
    model = MASKED.model
    return {
        "logits": normal(BATCH, model.tokens, model.codebook_size),
        "tokens": tokens,
        "start": np.full(BATCH, model.tokens),
        "token_noise": DRAW.gumbel(size=(BATCH, model.tokens, model.codebook_size)),
        "confidence_noise": DRAW.gumbel(size=(BATCH, model.tokens)),
        "step": step,
        "steps": STEPS,
        "mask_token": model.mask_token,
        "choice_temperature": 4.5,
        "sampling_temperature": temperature,
    }


def sampling(config, scale, schedule, **settings):
    section = config.sampling.model_dump(mode="json")
    return section | {"guidance_scale": scale, "guidance_schedule": schedule, **settings}


def masked_sampling(scale, schedule, temperature):
    shape = (STEPS, BATCH, MASKED.model.tokens)
    return {
        **masked_inputs(),
        "labels": random_labels(MASKED, BATCH),
        "sampling": sampling(MASKED, scale, schedule, sampling_temperature=temperature),
        "token_noise": DRAW.gumbel(size=(*shape, MASKED.model.codebook_size)),
        "confidence_noise": DRAW.gumbel(size=shape),
        "loops": [1, 4, 2, 3],
    }


def diffusion_sampling(scale, schedule, **diffusion):
    shape = (BATCH, *DIFFUSION.model.shape)
    return {
        **without(diffusion_inputs(), "noisy", "time"),
        "labels": random_labels(DIFFUSION, BATCH),
        "sampling": sampling(DIFFUSION, scale, schedule),
        "diffusion": noise_settings(log_snr_min=-4.0, log_snr_max=4.0, **diffusion),
        "initial_noise": normal(*shape),
        "step_noise": normal(STEPS, *shape),
        "loops": [1, 4, 2, 3],
    }


def training(config):
    return {
        **sections(config, "model", "objective", "training"),
        "parameters": flat(random_parameters(config)),
        "labels": integers(config.model.classes, STEPS, BATCH),
        "label_drop": uniform(STEPS, BATCH),
        "student_loops": np.array([1, 2, 2, 1]),
    }


def masked_training():
    tokens = MASKED.model.tokens
    return {
        **training(MASKED),
        "tokens": integers(MASKED.model.codebook_size, STEPS, BATCH, tokens),
        "mask_ratio": uniform(STEPS, BATCH),
        "mask_order": uniform(STEPS, BATCH, tokens),
    }


def diffusion_training():
    shape = (STEPS, BATCH, *DIFFUSION.model.shape)
    return {
        **training(DIFFUSION),
        "diffusion": noise_settings(shift=0.5, prediction="v"),
        "clean": normal(*shape),
        "noise": normal(*shape),
        "time": uniform(STEPS, BATCH),
    }


DRIFTING = make_drifting_config(dtype="float64")


def drifting_inputs():
    return {
        **sections(DRIFTING, "model"),
        "parameters": flat(random_parameters(DRIFTING)),
        "noise": normal(6, *DRIFTING.model.shape),
        "labels": random_labels(DRIFTING, 6),
    }


def drifting_objective(student_loops, reduction):
    return {
        **drifting_inputs(),
        "labels": np.array([2, 0]),
        "positives": normal(2, 3, *DRIFTING.model.shape),
        "temperatures": [0.05, 0.2],
        "student_loops": student_loops,
        "truth_weight": 0.3,
        "reduction": reduction,
    }


def optimizing(step, **settings):
    return {
        "training": make_config(training={"steps": 9, "warmup_steps": 2, **settings}).training.model_dump(mode="json"),
        "step": step,
        "parameters": tree(),
        "gradient": tree(),
        "first": tree(),
        "second": {name: value**2 for name, value in tree().items()},
    }


SNR = {"log_snr": np.array([-9.0, 0.3, 7.0])}
SAMPLES = {name: normal(BATCH, 4, 6, 3) for name in ("clean", "noise", "noisy", "prediction")}
STEP = {name: SAMPLES[name] for name in ("noisy", "clean", "noise")} | {"log_snr_t": -1.3, "log_snr_s": 0.4}
MASKED_OBJECTIVES = [(None, "sum", 0.0), (1, "mean_per_sample", 0.0), (2, "sum", 0.1)]
DIFFUSION_OBJECTIVES = [
    (None, "sum", {}),
    (1, "mean_per_sample", {"prediction": "epsilon", "shift": "32/64"}),
    (2, "sum", {"prediction": "v", "bias": 2.0, "weight_derivative": False}),
]
SCHEDULES = [{}, {"shift": 0.5, "shift_at_noise": -1.0, "bias": 2.0}, {"prediction": "v", "weight_derivative": False}]

DRIFTING_OBJECTIVES = [(None, "sum"), (1, "mean_per_sample"), (2, "sum")]
ACROSS = {"masked_training_across"}
"""Is offered by elt_torch_distributed, and judged by a clause (test_ports_conform.py)."""
CASES = [
    ("masked_layer", {"parameters": layer(MASKED), "x": normal(2, 5, 8), "heads": 2, "epsilon": 1e-6}),
    (
        "diffusion_layer",
        {
            "parameters": layer(DIFFUSION),
            "x": normal(2, 5, 8),
            "conditioning": normal(2, 8),
            "heads": 4,
            "epsilon": 1e-3,
        },
    ),
    ("positions", {"rows": 2, "columns": 3, "width": 8}),
    ("time_features", {"time": np.array([0.0, 0.37, 1.0]), "width": 6, "scale": 1000.0}),
    ("patchify", {"samples": SAMPLES["clean"], "patch_size": 2}),
    ("unpatchify", {"patches": normal(2, 6, 12), "shape": [4, 6, 3], "patch_size": 2}),
    ("masked_states", {**masked_inputs(), "loops": 4}),
    ("masked_forward", {**masked_inputs(), "loops": 5}),
    ("diffusion_states", {**diffusion_inputs(), "loops": 4}),
    ("diffusion_forward", {**diffusion_inputs(), "loops": 5}),
    *((f"masked_{what}", masked_objective(*case)) for what in ("objective", "gradient") for case in MASKED_OBJECTIVES),
    *(
        (f"diffusion_{what}", diffusion_objective(loops, reduction, **settings))
        for what in ("objective", "gradient")
        for loops, reduction, settings in DIFFUSION_OBJECTIVES
    ),
    ("truth_weights", {"steps": 5}),
    ("truth_weights", {"steps": 1}),
    ("student_draws", {"min_loops": 2, "max_loops": 6, "count": 50, "seed": 3}),
    ("mask_tokens", {"ratio": np.array([0.0, 2 / 3, 0.999]), "order": np.round(uniform(3, 16), 1)}),
    ("drop_labels", {"labels": np.array([0, 1, 2]), "draws": np.array([0.05, 0.1, 0.5]), "rate": 0.1, "classes": 3}),
    *(("log_snr", {"diffusion": noise_settings(**each), "time": np.array([0.0, 0.4, 1.0])}) for each in SCHEDULES),
    *(("loss_weight", {"diffusion": noise_settings(**each), "time": np.array([0.0, 0.4, 1.0])}) for each in SCHEDULES),
    ("add_noise", {"clean": SAMPLES["clean"], "noise": SAMPLES["noise"], **SNR}),
    *(
        case
        for kind in ("x0", "epsilon", "v")
        for case in (
            ("prediction_target", {"kind": kind, "clean": SAMPLES["clean"], "noise": SAMPLES["noise"], **SNR}),
            ("to_clean", {"kind": kind, "prediction": SAMPLES["prediction"], "noisy": SAMPLES["noisy"], **SNR}),
        )
    ),
    *(
        ("denoise_step", {**STEP, "diffusion": noise_settings(**settings), "last": last})
        for settings, last in (
            ({}, False),
            ({"variance": "large"}, False),
            ({"variance": "interpolated", "variance_fraction": 0.3}, False),
            ({"sampler": "ddim", "clip": 0.5}, False),
            ({"clip": 0.5}, True),
        )
    ),
    ("time_grid", {"steps": 7}),
    ("mask_lengths", {"start": np.array([256, 7, 1, 0]), "steps": 12}),
    ("decode_step", decoding(0, "plain")),
    ("decode_step", decoding(2, "elt")),
    ("decode_step", decoding(STEPS - 1, "plain")),
    ("guide", {"conditional": normal(2, 3), "unconditional": normal(2, 3), "scale": 2.5}),
    ("guidance_scales", {"scale": 3.0, "steps": 4, "schedule": "constant"}),
    ("guidance_scales", {"scale": 3.0, "steps": 4, "schedule": "ramp"}),
    ("masked_sample", masked_sampling(3.0, "ramp", "elt")),
    ("masked_sample", masked_sampling(0.0, "constant", "plain")),
    ("diffusion_sample", diffusion_sampling(2.0, "ramp", prediction="v", clip=2.0)),
    ("diffusion_sample", diffusion_sampling(0.0, "constant", sampler="ddim", prediction="epsilon")),
    ("encode_clips", {"clips": normal(2, 4, 4, 6, 1), "codebook": normal(20, 8), "patch_frames": 2, "patch_size": 2}),
    (
        "decode_clips",
        {"tokens": integers(9, 2, 6), "codebook": normal(9, 24), "grid": [1, 2, 3], "patch_frames": 2, "patch_size": 2},
    ),
    (
        "given_frames",
        {"tokens": integers(9, 2, 8), "frames": np.arange(6) < 3, "grid": [2, 2, 2], "mask_token": 13},
    ),
    ("optimizer_step", optimizing(0, weight_decay=0.2)),
    ("optimizer_step", optimizing(5, beta1=0.8, beta2=0.9, epsilon=0.1)),
    ("clip_gradient", {"gradient": tree(), "largest": 0.5}),
    ("clip_gradient", {"gradient": tree(), "largest": 1e3}),
    *(
        (
            "learning_rates",
            sections(make_config(training={"steps": 7, "warmup_steps": 3, "schedule": each}), "training"),
        )
        for each in ("cosine", "constant")
    ),
    ("moving_average", {"average": tree(), "parameters": tree(), "decay": 0.9}),
    ("masked_training", masked_training()),
    ("diffusion_training", diffusion_training()),
    ("count", {**sections(MASKED, "model"), "loops": 3}),
    ("count", {**sections(DIFFUSION, "model"), "loops": 3}),
    ("frechet_distance", {"features": normal(9, 4), "others": normal(7, 4) + 1}),
    ("drift_field", {"queries": normal(4, 6), "positives": normal(5, 6), "temperatures": [0.02, 0.05, 0.2]}),
    ("drifting_states", {**drifting_inputs(), "loops": 3}),
    ("drifting_forward", {**drifting_inputs(), "loops": 5}),
    *(
        (f"drifting_{what}", drifting_objective(*each))
        for what in ("objective", "gradient")
        for each in DRIFTING_OBJECTIVES
    ),
    ("frechet_distance", {"features": normal(3, 5), "others": normal(3, 5)}),
    ("inception_score", {"logits": normal(11, 4), "splits": 3}),
]


def cast(value, dtype):
    if isinstance(value, dict):
        return {name: cast(entry, dtype) for name, entry in value.items()}
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        value = value.astype(dtype)
    if isinstance(value, np.ndarray):
        value = value.copy()
        value.flags.writeable = False  # nothing that is passed may be changed
    return value


def test_everything_is_offered_and_asked():
    described = backend().describe()
    assert set(described.operations) == {*OPERATIONS, *TAPS} - ACROSS
    assert {name for name, _ in CASES} == {*OPERATIONS} - ACROSS
    assert described.dtypes == ("float64", "float32")
    assert described.choices == ReferenceBackend.choices


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "arguments"), CASES, ids=[f"{name}-{k}" for k, (name, _) in enumerate(CASES)])
def test_operation(name, arguments, dtype):
    given = cast(arguments, dtype)
    expected = getattr(ReferenceBackend(), name)(**cast(given, "float64"))
    answer = getattr(backend(), name)(**given)
    assert answer.keys() == expected.keys()
    floats = any(value.dtype.kind == "f" for _, value in tree_items(arguments) if isinstance(value, np.ndarray))
    largest = max(np.abs(value).max(initial=0) for value in expected.values())
    for key, value in expected.items():
        assert isinstance(answer[key], np.ndarray)
        if value.dtype.kind != "f":
            assert np.array_equal(answer[key], value), key
            continue
        assert answer[key].dtype == (dtype if floats else "float64"), key
        scale = max(np.abs(value).max(initial=0), 1e-3 * largest)
        error = np.abs(answer[key] - value).max(initial=0) / scale
        assert error <= max(TOLERANCE[dtype], ROUGH.get(name, 0)), f"{key}: {error}"


def test_the_floor_tie_of_float32():
    """A configuration may ask for it, where a whole sampling is run."""
    start = torch.tensor([256])
    lengths = [port().masked_length(start, start, 7, 12, dtype).item() for dtype in (torch.float64, torch.float32)]
    assert lengths == [128, 127]


# --- checkpoints

TRAINING = {"steps": 6, "batch_size": 4, "warmup_steps": 2, "checkpoint_every": 3, "epsilon": 1e-3, "weight_decay": 0.1}
FAMILIES = {
    "masked": lambda dtype: make_config(dtype=dtype, training=TRAINING, objective={"label_drop_per": "batch"}),
    "diffusion": lambda dtype: make_diffusion_config(
        dtype=dtype, training=TRAINING | {"rematerialise": True}, diffusion={"shift": "32/64", "prediction": "v"}
    ),
}


def somewhere(config, step=3):
    """A state like that of a run amid its training."""
    trees = [random_parameters(config, seed) for seed in range(3)]
    second = random_parameters(config, 3)
    for leaf in tree_leaves(second):
        np.square(leaf, out=leaf)
    return TrainState(step, trees[0], Moments(trees[1], second), trees[2])


def assert_close(one, other, tolerance):
    assert one.step == other.step
    for part in ("parameters", "moments", "average"):
        pairs = zip(*(tree_leaves(list(part_of(state, part))) for state in (one, other)), strict=True)
        assert max(np.abs(a - b).max() for a, b in pairs) <= tolerance, part


def part_of(state, part):
    return state.moments if part == "moments" else [getattr(state, part)]


def test_a_checkpoint_with_an_idea_is_refused(tmp_path):
    config = FAMILIES["masked"]("float32")
    save_checkpoint(tmp_path / "other.safetensors", somewhere(config), config, load_idea("every_loop"))
    trainer = port().Trainer(build(config), script_config(tmp_path, config))
    with pytest.raises(ValueError, match="got one that was trained with an idea"):
        trainer.load(tmp_path / "other.safetensors")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_that_is_read_and_written_is_the_same(tmp_path, family):
    config = FAMILIES[family]("float32")
    save_checkpoint(tmp_path / "reference.safetensors", somewhere(config), config)
    trainer = port().Trainer(build(config), script_config(tmp_path, config))
    trainer.load(tmp_path / "reference.safetensors")
    trainer.save(tmp_path / "port.safetensors")
    assert_close(load_checkpoint(tmp_path / "port.safetensors", config), somewhere(config), 0)
    port_says, reference_says = (file_of(tmp_path / f"{name}.safetensors") for name in ("port", "reference"))
    assert port_says == reference_says


def test_a_training_of_drifting_goes_on_as_in_the_reference(tmp_path):
    config = make_drifting_config(dtype="float64", training=TRAINING | {"batch_size": 6})
    state, sections_of = somewhere(config), ("model", "drifting", "objective", "training")
    settings = {name: port().Settings(**section) for name, section in sections(config, *sections_of).items()}
    trainer = port().Trainer(build(config), port().Settings(seed=config.seed, **settings))
    save_checkpoint(tmp_path / "reference.safetensors", state, config)
    trainer.load(tmp_path / "reference.safetensors")
    for step in (3, 4):
        draws = draw(config, step)
        batch = Batch(normal(2, 3, *config.model.shape), np.array([2, 0]))
        state, info = train_step(state, batch, draws, config=config)
        examples, labels, noise = map(torch.from_numpy, (*batch, draws.noise))
        losses = trainer.train_step(examples, labels, {"noise": noise}, draws.student_loops)
        assert losses.total.item() == pytest.approx(info.terms.total, rel=1e-12)
    trainer.save(tmp_path / "port.safetensors")
    assert_close(load_checkpoint(tmp_path / "port.safetensors", config), state, 1e-9)
    noise = torch.from_numpy(normal(4, *config.model.shape))
    drawn = port().drifting_sample(trainer.average, torch.tensor([0, 1, 2, 0]), noise, 5)
    expected = forward(state.average, config, noise.numpy(), np.array([0, 1, 2, 0]), loops=5)
    np.testing.assert_allclose(drawn.numpy(), expected, rtol=1e-7, atol=1e-9)


def file_of(path):
    """Return all that a checkpoint holds, except its format and the checksum, which a port's does not have."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    metadata = json.loads(header.pop("__metadata__")["elt_ref"])
    return header, {**metadata, "format": None, "sha256": None}, content[end:]


def build(config):
    settings = port().Settings(**config.model.model_dump(mode="json"))
    return port().build(settings).to(getattr(torch, config.training.dtype))


@pytest.mark.parametrize("dtype", [None, "float64", "bfloat16"])
def test_a_diffusion_network_can_be_called_as_it_is_built(dtype):
    """Positions and the features of the time are float64; they follow the parameters."""
    config = make_diffusion_config()
    network = port().build(port().Settings(**config.model.model_dump(mode="json")))
    if dtype is not None:
        network = network.to(getattr(torch, dtype))
    like = next(network.parameters())
    noisy = torch.zeros(2, *config.model.shape, dtype=like.dtype)
    time, labels = torch.tensor([0.2, 0.7]), torch.tensor([0, 1])
    (drawn,) = network(noisy=noisy, time=time, labels=labels, exits=[2])
    assert drawn.dtype == like.dtype


def write_config(path, config):
    """As a person would: what is the default is left out."""
    path.write_text(tomli_w.dumps(config.model_dump(mode="json", exclude_defaults=True)), encoding="utf-8")
    return path


def script_config(folder, config):
    return script().read_config(write_config(folder / "config.toml", config))


@pytest.mark.parametrize("family", FAMILIES)
def test_defaults_are_those_of_the_reference(tmp_path, family):
    config = FAMILIES[family]("float32")
    read = script_config(tmp_path, config)
    for section in ("model", "objective", "training", *(["diffusion"] if family == "diffusion" else [])):
        assert vars(getattr(read, section)) == getattr(config, section).model_dump(mode="json"), section


# --- a run


def examples(config, path):
    """Write a file of examples, and return what the reference makes of it."""
    draw = np.random.default_rng(5)
    labels = draw.integers(0, config.model.classes, 10)
    if config.model.family == "masked":
        tokens = draw.integers(0, config.model.codebook_size, (10, *config.model.grid))
        save_file({"tokens": tokens, "labels": labels}, path)
        return Batch(tokens.reshape(10, -1), labels)
    latents = draw.standard_normal((10, *config.model.shape)).astype(np.float32)
    save_file({"latents": latents, "labels": labels}, path, metadata={"scale": "0.25"})
    return Batch((latents * np.float32(0.25)).astype(config.training.dtype), labels)


def launch(processes, *words):
    """Run the script under torchrun."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    done = subprocess.run(
        [*command, PORTS / "elt_torch_distributed.py", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("family", "dtype", "tolerance"), [("masked", "float32", 1e-6), ("diffusion", "float64", 1e-12)]
)
def test_two_processes_are_one_and_one_is_the_reference(tmp_path, monkeypatch, family, dtype, tolerance):
    config = FAMILIES[family](dtype)
    batch = examples(config, tmp_path / "examples.safetensors")
    # Not the initial parameters: zeros in every gate would hide the layers from the gradient.
    parameters = random_parameters(config)
    start = TrainState(0, parameters, zero_moments(parameters), parameters)
    ends = {}
    for processes in (0, 1, 2):
        run = tmp_path / str(processes)
        run.mkdir()
        save_checkpoint(run / "checkpoint.safetensors", start, config)
        words = [write_config(run / "config.toml", config), tmp_path / "examples.safetensors", "--out", run, "--resume"]
        if processes == 0:
            train(config, batch, run, resume=True)
        elif processes == 1:
            monkeypatch.setattr(sys, "argv", ["elt_torch_distributed.py", *map(str, words)])
            script().main()
        else:
            launch(processes, *words)
        ends[processes] = load_checkpoint(run / "checkpoint.safetensors", config)
    assert ends[1].step == config.training.steps
    assert_close(ends[2], ends[1], tolerance)
    assert_close(ends[0], ends[1], 10 * tolerance)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_reference_samples_from_a_run_of_the_port(tmp_path, monkeypatch, family):
    config = FAMILIES[family]("float32")
    examples(config, tmp_path / "examples.safetensors")
    words = [
        write_config(tmp_path / "config.toml", config),
        tmp_path / "examples.safetensors",
        "--out",
        tmp_path / "run",
    ]
    monkeypatch.setattr(sys, "argv", ["elt_torch_distributed.py", *map(str, words)])
    script().main()
    state = load_checkpoint(tmp_path / "run" / "checkpoint.safetensors", config)
    assert state.step == config.training.steps
    drawn = sample(state.average, config, random_labels(config, 2), loops=2).samples
    assert len(drawn) == 2
    assert np.isfinite(drawn).all()
    with pytest.raises(SystemExit):
        script().main()  # there is a run already
