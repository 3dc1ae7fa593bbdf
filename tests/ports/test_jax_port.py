"""The JAX port of the documentation against the reference, operation by operation, in both dtypes and both families."""

import sys
from functools import cache
from importlib import import_module

import numpy as np
import pytest
from networks import make_config, make_diffusion_config, open_network, random_labels, random_parameters, random_tokens
from safetensors.numpy import save_file

from elt_ref.arrays import tree_items, tree_leaves
from elt_ref.config import dump_config
from elt_ref.conformance.operations import OPERATIONS, TABLE
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.generation import DecodeNoise, decode, decode_step, denoise, denoise_step, guide
from elt_ref.measure import count, fit_gaussian, frechet_distance, inception_score
from elt_ref.model import (
    adaln_zero_layer,
    add_noise,
    declare_parameters,
    loop_states,
    post_norm_layer,
    prediction_target,
    to_x0,
)
from elt_ref.model.diffusion import modulate, patchify, unpatchify
from elt_ref.model.positions import sine_cosine_positions, time_features
from elt_ref.objective import (
    Batch,
    DiffusionDraws,
    DiffusionTarget,
    MaskedDraws,
    MaskedTarget,
    drop_labels,
    loss_weight,
    mask_tokens,
)
from elt_ref.ops import silu
from elt_ref.run.idea import load_idea
from elt_ref.schedules import (
    guidance_scale_at,
    learning_rate_at,
    log_snr,
    log_snr_derivative,
    mask_lengths,
    time_grid,
    truth_weight_at,
)
from elt_ref.training import (
    Moments,
    TrainState,
    adamw,
    clip_gradient,
    init_state,
    load_checkpoint,
    loss_and_gradient,
    moving_average,
    save_checkpoint,
    train_step,
    zero_moments,
)

pytestmark = pytest.mark.ports
jax = pytest.importorskip("jax")

BATCH, LOOPS = 3, [2, 4, 1, 3]
MASKED = make_config(
    objective={"label_smoothing": 0.1},
    training={"steps": 6, "warmup_steps": 2, "weight_decay": 0.1, "gradient_clip": 0.5},
    sampling={"steps": len(LOOPS), "guidance_scale": 2.5, "guidance_schedule": "ramp", "sampling_temperature": "elt"},
)
DIFFUSION = make_diffusion_config(
    diffusion={"shift": "32/64", "bias": 0.5, "prediction": "v", "shift_at_noise": 0.5, "clip": 2.0},
    training={"steps": 4, "warmup_steps": 1},
)


@cache
def port():
    return import_module("elt_ref.ports.elt_jax")


@cache
def backend():
    jax.config.update("jax_disable_most_optimizations", True)  # these networks take longer to compile than to run
    return import_module("elt_ref.ports.elt_jax_backend").Backend()


def flat(tree, prefix=""):
    return {f"{prefix}{name}": np.asarray(leaf) for name, leaf in tree_items(tree)}


def sections(config, *names):
    return {name: config.model_dump(mode="json")[name] for name in names}


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def uniform(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).random(shape)


def examples(config, steps=None):
    """Return what a network reads, or learns from in a number of steps."""
    lead, model = () if steps is None else (steps,), config.model
    labels = np.random.default_rng(1).integers(model.classes, size=(*lead, BATCH))
    if model.family == "masked":
        tokens = np.random.default_rng(2).integers(model.codebook_size, size=(*lead, BATCH, model.tokens))
        return {"tokens": tokens, "labels": labels}
    samples = {name: normal(*lead, BATCH, *model.shape, seed=seed) for seed, name in enumerate(("clean", "noise"))}
    return {**samples, "time": uniform(*lead, BATCH), "labels": labels}


def schedules():
    for prediction in ("x0", "epsilon", "v"):
        yield make_diffusion_config(diffusion={"shift": -1.0, "bias": 1.0, "prediction": prediction}).diffusion
    yield DIFFUSION.diffusion.model_copy(update={"weight_derivative": False, "log_snr_min": -8.0})


def network_cases(config, inputs, head):
    parameters = random_parameters(config)
    network = open_network(parameters, config, *inputs.values())
    states = list(loop_states(network.block, network.state, 5))
    for loops in (1, 5):
        expected = network.head(states[loops - 1]) if head else np.stack(states[:loops])
        yield {"parameters": flat(parameters), **sections(config, "model"), **inputs, "loops": loops}, expected


def objective_cases(config, inputs, target, given, gradient):
    """Yield the arguments and results of an objective or its gradient: two reductions, ILSD and vanilla."""
    parameters = random_parameters(config)
    for reduction, student, truth_weight in (
        ("mean_per_sample", 1, 0.3),
        ("mean_per_sample", 2, 1.0),
        ("sum", None, 0.5),
    ):
        judged = target._replace(reduction=reduction)
        terms, slopes = loss_and_gradient(
            parameters, config, inputs, judged, student_loops=student, truth_weight=truth_weight
        )
        named = {name: np.asarray(term) for name, term in terms._asdict().items()}
        if student is None:
            named = {name: named[name] for name in ("total", "teacher_truth")}
        arguments = {"student_loops": student, "truth_weight": truth_weight, "reduction": reduction, **given}
        yield {"parameters": flat(parameters), **arguments}, flat(slopes) if gradient else named


def shallow(config):
    """Return the configuration with one layer: what trains takes longer to compile than anything else."""
    return config.model_copy(update={"model": config.model.model_copy(update={"layers": 1})})


def training_cases(config, draws, kind, steps):
    """Yield a training of several steps and what it leads to."""
    config = shallow(config).model_copy(update={"objective": config.objective.model_copy(update={"kind": kind})})
    parameters, given = random_parameters(config), examples(config, steps)
    drawn = {"label_drop": uniform(steps, BATCH, seed=8) / 4, "student_loops": np.arange(steps) % 2 + 1}
    if config.model.family == "masked":
        order = uniform(steps, BATCH, config.model.tokens)
        drawn |= {"mask_ratio": uniform(steps, BATCH, seed=7), "mask_order": order}
    state, totals = TrainState(0, parameters, zero_moments(parameters), parameters), []
    for step in range(steps):
        now = {name: array[step] for name, array in (given | drawn).items()}
        now["student_loops"] = None if kind == "vanilla" else int(now["student_loops"])
        batch = Batch(now[next(iter(given))], now["labels"])
        choices = draws(**{name: now[name] for name in draws._fields})
        state, info = train_step(state, batch, choices, config=config)
        totals.append(info.terms.total)
    names = ["model", "objective", "training"] + ["diffusion"] * (config.model.family == "diffusion")
    trained = flat(state.parameters, "parameters.") | flat(state.average, "average.")
    arguments = {**sections(config, *names), "parameters": flat(parameters), **given, **drawn}
    yield arguments, trained | {"total": np.array(totals)}


class Cases:
    """For every operation, arguments and what the reference makes of them."""

    def masked_layer(self):
        layer, x = random_parameters(MASKED)["block"][0], normal(BATCH, 5, 8)
        for epsilon in (1e-12, 0.1):
            expected = post_norm_layer(layer, x, heads=2, epsilon=epsilon)
            yield {"parameters": flat(layer), "x": x, "heads": 2, "epsilon": epsilon}, {"x": expected}

    def diffusion_layer(self):
        layer, x, c = random_parameters(DIFFUSION)["block"][0], normal(BATCH, 6, 8), normal(BATCH, 8)
        chunks = modulate(layer["modulation"], silu(c), 6)
        expected = adaln_zero_layer({"layer": layer, "modulation": chunks}, x, heads=2, epsilon=1e-6)
        yield {"parameters": flat(layer), "x": x, "conditioning": c, "heads": 2, "epsilon": 1e-6}, {"x": expected}

    def positions(self):
        yield {"rows": 2, "columns": 3, "width": 8}, {"positions": sine_cosine_positions(2, 3, 8)}

    def time_features(self):
        time = uniform(BATCH)
        expected = time_features(time, 6, 1000.0)
        yield {"time": time, "width": 6, "scale": 1000.0}, {"features": expected}

    def patchify(self):
        samples = normal(BATCH, 4, 6, 3)
        yield {"samples": samples, "patch_size": 2}, {"patches": patchify(samples, 2)}

    def unpatchify(self):
        patches = normal(BATCH, 6, 12)
        arguments = {"patches": patches, "shape": [BATCH, 4, 6, 3], "patch_size": 2}
        yield arguments, {"samples": unpatchify(patches, DIFFUSION.model.shape, 2)}

    def masked_inputs(self):
        return {"tokens": random_tokens(MASKED, BATCH), "labels": random_labels(MASKED, BATCH)}

    def diffusion_inputs(self):
        inputs = examples(DIFFUSION)
        return {"noisy": inputs["clean"], "time": inputs["time"], "labels": inputs["labels"]}

    def masked_states(self):
        return ((g, {"states": e}) for g, e in network_cases(MASKED, self.masked_inputs(), head=False))

    def masked_forward(self):
        return ((g, {"logits": e}) for g, e in network_cases(MASKED, self.masked_inputs(), head=True))

    def diffusion_states(self):
        return ((g, {"states": e}) for g, e in network_cases(DIFFUSION, self.diffusion_inputs(), head=False))

    def diffusion_forward(self):
        return ((g, {"prediction": e}) for g, e in network_cases(DIFFUSION, self.diffusion_inputs(), head=True))

    def masked_objective(self, gradient=False):
        given, mask = examples(MASKED), uniform(BATCH, 4) < 0.6
        inputs = np.where(mask, MASKED.model.mask_token, given["tokens"]), given["labels"]
        target = MaskedTarget(given["tokens"], mask, label_smoothing=0.1)
        arguments = {**sections(MASKED, "model"), **given, "mask": mask, "label_smoothing": 0.1}
        yield from objective_cases(MASKED, inputs, target, arguments, gradient)

    def masked_gradient(self):
        return self.masked_objective(gradient=True)

    def diffusion_objective(self, gradient=False):
        given = examples(DIFFUSION)
        clean, noise, time, labels = given.values()
        snr = log_snr(time, DIFFUSION.diffusion)
        to_predict = prediction_target(DIFFUSION.diffusion.prediction, clean, noise, snr)
        target = DiffusionTarget(to_predict, time, DIFFUSION.diffusion)
        inputs = add_noise(clean, noise, snr), time, labels
        arguments = {**sections(DIFFUSION, "model", "diffusion"), **given}
        yield from objective_cases(DIFFUSION, inputs, target, arguments, gradient)

    def diffusion_gradient(self):
        return self.diffusion_objective(gradient=True)

    def truth_weights(self):
        for steps in (1, 2, 7):
            yield {"steps": steps}, {"weights": np.array([truth_weight_at(step, steps) for step in range(steps)])}

    def mask_tokens(self):
        for ratio in (np.array([0.0, 0.999, *uniform(40)]), np.full(42, 2 / 3)):
            order = np.round(uniform(42, 256), 2)  # with ties
            yield {"ratio": ratio, "order": order}, {"mask": mask_tokens(ratio, order)}

    def drop_labels(self):
        labels, draws = np.arange(20) % 3, uniform(20)
        expected = drop_labels(labels, draws, rate=0.4, unconditional=3)
        yield {"labels": labels, "draws": draws, "rate": 0.4, "classes": 3}, {"labels": expected}

    def log_snr(self):
        time = np.array([0.0, 1.0, *uniform(9)])
        for diffusion in schedules():
            expected = {"log_snr": log_snr(time, diffusion), "derivative": log_snr_derivative(time, diffusion)}
            yield {"diffusion": diffusion.model_dump(), "time": time}, expected

    def loss_weight(self):
        time = np.array([0.0, 1.0, *uniform(9)])
        for diffusion in schedules():
            yield {"diffusion": diffusion.model_dump(), "time": time}, {"weight": loss_weight(time, diffusion)}

    def samples(self):
        return {"clean": normal(BATCH, 4, 6, 3), "noise": normal(BATCH, 4, 6, 3, seed=1)}, np.array([-9.0, 0.5, 7.0])

    def add_noise(self):
        given, snr = self.samples()
        yield {**given, "log_snr": snr}, {"noisy": add_noise(**given, log_snr=snr)}

    def prediction_target(self):
        given, snr = self.samples()
        for kind in ("x0", "epsilon", "v"):
            yield {"kind": kind, **given, "log_snr": snr}, {"target": prediction_target(kind, **given, log_snr=snr)}

    def to_clean(self):
        (prediction, noisy), snr = self.samples()[0].values(), self.samples()[1]
        for kind in ("x0", "epsilon", "v"):
            expected = to_x0(kind, prediction, noisy, snr)
            yield {"kind": kind, "prediction": prediction, "noisy": noisy, "log_snr": snr}, {"clean": expected}

    def denoise_step(self):
        given = {**self.samples()[0], "noisy": normal(BATCH, 4, 6, 3, seed=2), "log_snr_t": -2.5, "log_snr_s": -1.75}
        changes = [{"variance": variance} for variance in ("small", "large", "interpolated")]
        for change in (*changes, {"sampler": "ddim"}, {"clip": 0.5}, {"clip": 0.5, "sampler": "ddim"}):
            diffusion = DIFFUSION.diffusion.model_copy(update={"clip": None, "variance_fraction": 0.3} | change)
            for last in (False, True):
                expected = denoise_step(**given, last=last, diffusion=diffusion)
                yield {**given, "last": last, "diffusion": diffusion.model_dump()}, {"noisy": expected}

    def time_grid(self):
        yield {"steps": 7}, {"times": time_grid(7)}

    def mask_lengths(self):
        start = np.array([256, 0, 1, 2, 100])
        for steps in (1, 12, 24):
            unknown, lengths = start, []
            for step in range(steps):
                unknown = mask_lengths(start, unknown, step=step, steps=steps, precision="float64")
                lengths.append(unknown)
            yield {"start": start, "steps": steps}, {"lengths": np.stack(lengths)}

    def decode_step(self):
        mask, steps = 9, 12
        tokens = np.where(uniform(BATCH, 30) < 0.7, mask, 3)
        given = {"logits": normal(BATCH, 30, 5), "tokens": tokens, "start": np.array([30, 25, 27])}
        noise = {"token_noise": normal(BATCH, 30, 5, seed=1), "confidence_noise": normal(BATCH, 30)}
        for step, preset in ((0, "elt"), (7, "plain"), (11, "elt")):
            arguments = {**given, "step": step, "steps": steps, "mask_token": mask}
            settings = {"choice_temperature": 3.0, "sampling_temperature": preset}
            sampling = MASKED.sampling.model_copy(update=settings)
            expected = decode_step(**arguments, noise=DecodeNoise(*noise.values()), sampling=sampling)
            yield {**arguments, **noise, **settings}, dict(zip(("tokens", "answer"), expected, strict=True))

    def guide(self):
        given = {"conditional": normal(BATCH, 4), "unconditional": normal(BATCH, 4, seed=1), "scale": 2.5}
        yield given, {"guided": guide(**given)}

    def guidance_scales(self):
        for schedule in ("constant", "ramp"):
            for steps in (1, 5):
                scales = [guidance_scale_at(step, steps, scale=3.0, schedule=schedule) for step in range(steps)]
                yield {"scale": 3.0, "steps": steps, "schedule": schedule}, {"scales": np.array(scales)}

    def masked_sample(self):
        model, steps = MASKED.model, len(LOOPS)
        noise = normal(steps, BATCH, model.tokens, model.codebook_size), normal(steps, BATCH, model.tokens)
        given = {"tokens": random_tokens(MASKED, BATCH, unknown=0.9), "labels": random_labels(MASKED, BATCH)}
        for scale, precision in ((2.5, "float64"), (1.0, "float32")):
            changed = {"guidance_scale": scale, "schedule_precision": precision}
            config = MASKED.model_copy(update={"sampling": MASKED.sampling.model_copy(update=changed)})
            parameters = random_parameters(config)
            *_, last = decode(
                parameters,
                config,
                given["labels"],
                lambda step: DecodeNoise(*(array[step] for array in noise)),
                loops=LOOPS,
                start=given["tokens"],
            )
            arguments = {**sections(config, "model", "sampling"), "parameters": flat(parameters), **given}
            arguments |= {"token_noise": noise[0], "confidence_noise": noise[1], "loops": LOOPS}
            yield arguments, {"tokens": last.answer}

    def diffusion_sample(self):
        steps, parameters, labels = len(LOOPS), random_parameters(DIFFUSION), random_labels(DIFFUSION, BATCH)
        initial, noise = normal(BATCH, 4, 6, 3), normal(steps, BATCH, 4, 6, 3)
        for scale, sampler, kind in ((2.5, "ancestral", "v"), (1.0, "ddim", "x0")):
            sampling = DIFFUSION.sampling.model_copy(update={"steps": steps, "guidance_scale": scale})
            diffusion = DIFFUSION.diffusion.model_copy(update={"sampler": sampler, "prediction": kind})
            config = DIFFUSION.model_copy(update={"sampling": sampling, "diffusion": diffusion})
            *_, last = denoise(parameters, config, labels, initial, lambda step: noise[step], loops=LOOPS)
            arguments = {**sections(config, "model", "sampling", "diffusion"), "parameters": flat(parameters)}
            arguments |= {"labels": labels, "initial_noise": initial, "step_noise": noise, "loops": LOOPS}
            yield arguments, {"samples": last.noisy}

    def optimizer_step(self):
        trees = [random_parameters(MASKED, seed) for seed in range(4)]
        trees[3] = random_parameters(MASKED, 3)
        for _, leaf in tree_items(trees[3]):
            np.abs(leaf, out=leaf)
        named = dict(zip(("parameters", "gradient", "first", "second"), map(flat, trees), strict=True))
        for step in (0, 4):
            training = MASKED.training.model_copy(update={"beta1": 0.0} if step else {})
            rate = learning_rate_at(step, training)
            new, moments = adamw(*trees[:2], Moments(*trees[2:]), step=step, rate=rate, training=training)
            expected = flat(new, "parameters.") | flat(moments.first, "first.") | flat(moments.second, "second.")
            yield {**named, "training": training.model_dump(), "step": step}, expected

    def clip_gradient(self):
        gradient = random_parameters(MASKED)
        for largest in (0.5, 1000.0):
            clipped, norm = clip_gradient(gradient, largest)
            yield (
                {"gradient": flat(gradient), "largest": largest},
                flat(clipped, "gradient.") | {"norm": np.array(norm)},
            )

    def learning_rates(self):
        for schedule, warmup, steps in (("cosine", 3, 9), ("constant", 0, 4), ("cosine", 5, 4)):
            settings = {"schedule": schedule, "warmup_steps": warmup, "steps": steps}
            training = MASKED.training.model_copy(update=settings)
            rates = [learning_rate_at(step, training) for step in range(steps)]
            yield {"training": training.model_dump()}, {"rates": np.array(rates)}

    def moving_average(self):
        average, parameters = random_parameters(MASKED), random_parameters(MASKED, 1)
        expected = moving_average(average, parameters, 0.9)
        yield {"average": flat(average), "parameters": flat(parameters), "decay": 0.9}, flat(expected, "average.")

    def masked_training(self):
        return training_cases(MASKED, MaskedDraws, "ilsd", steps=4)

    def masked_training_across(self):
        for arguments, expected in training_cases(MASKED, MaskedDraws, "ilsd", steps=2):
            yield {"processes": BATCH, **arguments}, expected

    def encode_clips(self):
        given = {"clips": normal(2, 4, 4, 6, 1), "codebook": normal(20, 8), "patch_frames": 2, "patch_size": 2}
        yield given, ReferenceBackend().encode_clips(**given)

    def decode_clips(self):
        tokens, codebook = np.arange(12).reshape(2, 6), normal(12, 24)
        given = {"tokens": tokens, "codebook": codebook, "grid": [1, 2, 3], "patch_frames": 2, "patch_size": 2}
        yield given, ReferenceBackend().decode_clips(**given)

    def given_frames(self):
        given = {"tokens": np.arange(16).reshape(2, 8), "frames": np.arange(6) < 3, "grid": [2, 2, 2], "mask_token": 99}
        yield given, ReferenceBackend().given_frames(**given)

    def diffusion_training(self):
        return training_cases(DIFFUSION, DiffusionDraws, "vanilla", steps=4)

    def count(self):
        for config in (MASKED, DIFFUSION):
            counted = count(config, 5)
            expected = [counted.looped_parameters, counted.total_parameters, counted.looped_macs_per_forward]
            names = ("looped_parameters", "total_parameters", "looped_macs")
            yield {**sections(config, "model"), "loops": 5}, dict(zip(names, map(np.asarray, expected), strict=True))

    def frechet_distance(self):
        features, others = normal(20, 4), 1 + 2 * normal(30, 4)
        expected = frechet_distance(fit_gaussian(features), fit_gaussian(others))
        yield {"features": features, "others": others}, {"distance": np.array(expected)}

    def inception_score(self):
        logits = 3 * normal(23, 5)
        yield {"logits": logits, "splits": 4}, {"score": np.array(inception_score(logits, 4))}


def as_float32(value):
    """Return the arguments in float32: arrays, and arrays in dicts."""
    if isinstance(value, dict):
        return {key: as_float32(entry) for key, entry in value.items()}
    return value.astype(np.float32) if isinstance(value, np.ndarray) and value.dtype == np.float64 else value


def has_floats(value):
    return (
        any(map(has_floats, value.values()))
        if isinstance(value, dict)
        else isinstance(value, np.ndarray) and value.dtype.kind == "f"
    )


def assert_close(answer, expected, rtol, atol):
    """Compare names, types, dtypes and values; `atol` is relative to the largest value of an array."""
    assert answer.keys() == expected.keys()
    for name, array in expected.items():
        assert isinstance(answer[name], np.ndarray)
        assert answer[name].dtype == array.dtype, name
        scale = np.abs(array).max(initial=0)
        np.testing.assert_allclose(answer[name], array, rtol=rtol, atol=atol * scale, err_msg=name)


OFFERED = [name for name in OPERATIONS if TABLE[name].family != "drifting"]


def test_the_port_offers_every_operation_but_those_of_drifting():
    described = backend().describe()
    assert set(described.operations) == set(OFFERED)
    assert described.choices == {"sampling.schedule_precision": "float64"}


@pytest.mark.parametrize("operation", [name for name in OFFERED if name != "student_draws"])
def test_an_operation_agrees_with_the_reference(operation):
    for arguments, expected in getattr(Cases(), operation)():
        assert_close(getattr(backend(), operation)(**arguments), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("operation", [name for name in OFFERED if name != "student_draws"])
def test_float32_stays_float32(operation):
    arguments, expected = next(iter(getattr(Cases(), operation)()))
    if has_floats(arguments):
        answer = getattr(backend(), operation)(**as_float32(arguments))
        # The bias of the keys has no gradient but rounding, which Adam makes as large as any other: up to rate · steps.
        trained = operation.endswith(("_training", "_across"))
        assert_close(answer, as_float32(expected), rtol=1e-3, atol=1e-2 if trained else 1e-4)


def test_the_student_is_drawn_evenly_below_the_teacher_and_repeats_itself():
    draws = [backend().student_draws(min_loops=2, max_loops=5, count=600, seed=seed)["loops"] for seed in (1, 1, 2)]
    assert draws[0].dtype == np.int64
    assert set(draws[0]) == {2, 3, 4}
    assert np.unique(draws[0], return_counts=True)[1].min() > 150
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).any()


# --- checkpoints and the program


def test_a_checkpoint_with_an_idea_is_refused(tmp_path):
    save_checkpoint(tmp_path / "other.safetensors", init_state(MASKED), MASKED, load_idea("every_loop"))
    with pytest.raises(ValueError, match="got one trained with an idea"):
        port().load_checkpoint(tmp_path / "other.safetensors")


@pytest.mark.parametrize("config", [MASKED, DIFFUSION], ids=["masked", "diffusion"])
def test_a_checkpoint_survives_the_way_there_and_back(config, tmp_path):
    trees = [random_parameters(config, seed) for seed in range(4)]
    before = TrainState(7, trees[0], Moments(*trees[1:3]), trees[3])
    save_checkpoint(tmp_path / "ours.safetensors", before, config)
    state, metadata = port().load_checkpoint(tmp_path / "ours.safetensors")
    path = tmp_path / "theirs.safetensors"
    port().save_checkpoint(path, state, seed=metadata["seed"], family=config.model.family)
    after = load_checkpoint(path, config)
    assert after.step == 7
    for here, there in zip(
        tree_leaves([before.parameters, *before.moments, before.average]),
        tree_leaves([after.parameters, *after.moments, after.average]),
        strict=True,
    ):
        np.testing.assert_array_equal(here, there)


@pytest.mark.parametrize("config", [MASKED, DIFFUSION], ids=["masked", "diffusion"])
def test_initial_parameters_are_those_that_the_reference_declares(config):
    init = jax.jit(port().init_parameters, static_argnums=1)
    parameters = port().flatten(init(jax.random.key(0), port().read_model(config.model.model_dump())))
    declared = dict(tree_items(declare_parameters(config)))
    assert {name: leaf.shape for name, leaf in parameters.items()} == {name: p.shape for name, p in declared.items()}
    zero = {name for name, leaf in tree_items(init_state(config).parameters) if not leaf.any()}
    assert {name for name, leaf in parameters.items() if not leaf.any()} == zero


@pytest.mark.parametrize("config", [MASKED, DIFFUSION], ids=["masked", "diffusion"])
def test_the_program_trains_and_writes_a_checkpoint_of_the_reference(config, tmp_path, monkeypatch, capsys):
    config = shallow(config)
    path = {name: tmp_path / name for name in ("config.toml", "examples.safetensors", "checkpoint.safetensors")}
    path["config.toml"].write_text(dump_config(config), encoding="utf-8")
    labels = np.arange(5) % 3
    if config.model.family == "masked":
        examples = {"tokens": np.random.default_rng(0).integers(5, size=(5, 2, 2))}
    else:
        examples = {"latents": normal(5, 4, 6, 3)}
    save_file({**examples, "labels": labels}, path["examples.safetensors"], metadata={"scale": "0.5"})
    monkeypatch.setattr(sys, "argv", ["elt_jax", *map(str, path.values())])
    port().main()
    assert f"step {config.training.steps}  loss " in capsys.readouterr().out
    state = load_checkpoint(path["checkpoint.safetensors"], config)
    assert state.step == config.training.steps
    assert all(np.isfinite(leaf).all() for leaf in tree_leaves(state.parameters))
