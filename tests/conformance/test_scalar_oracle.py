"""The scalar oracle and the reference, written independently, give the same numbers; some are checked by hand."""

import ast
import inspect
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from networks import make_config, make_diffusion_config, open_network, random_labels, random_parameters, random_tokens

from elt_ref.arrays import tree_items
from elt_ref.conformance.operations import OPERATIONS, TABLE
from elt_ref.generation import DecodeNoise, decode_step, denoise_step, guide, predict_clean, predict_tokens
from elt_ref.measure import count, fit_gaussian, frechet_distance, inception_score
from elt_ref.model import (
    adaln_zero_layer,
    add_noise,
    forward,
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
from elt_ref.schedules import (
    guidance_scale_at,
    learning_rate_at,
    log_snr,
    log_snr_derivative,
    mask_lengths,
    time_grid,
    truth_weight_at,
)
from elt_ref.training import TrainState, loss_and_gradient, train_step
from elt_ref.training.optimizer import Moments, adamw, clip_gradient, moving_average, zero_moments
from specs.making import scalar
from specs.making.scalar import ScalarBackend
from specs.making.scalar.draws import splitmix64
from specs.making.scalar.measures import jacobi
from specs.making.scalar.values import Value, differentiate, dot, exp, log, sqrt, tanh

ORACLE = ScalarBackend()
MASKED = {
    "plain": make_config(),
    "one head, long, no unconditional row": make_config(
        heads=1, grid=(2, 4), unconditional_row=False, layers=1, objective={"label_drop_rate": 0.0}
    ),
}
DIFFUSION = {
    "x0": make_diffusion_config(),
    "epsilon": make_diffusion_config(
        diffusion={"prediction": "epsilon", "shift": "32/64", "bias": 2.0, "log_snr_min": -8.0, "log_snr_max": 8.0}
    ),
    "v": make_diffusion_config(
        diffusion={"prediction": "v", "shift": -1.0, "shift_at_noise": -2.0, "weight_derivative": False},
        patch_size=1,
        shape=(2, 3, 2),
        heads=1,
    ),
}
masked_families = pytest.mark.parametrize("config", MASKED.values(), ids=MASKED)
diffusion_families = pytest.mark.parametrize("config", DIFFUSION.values(), ids=DIFFUSION)
students = pytest.mark.parametrize(("student", "weight"), [(None, 1.0), (1, 0.3), (2, 0.0)])


def error(mine, theirs):
    """Return the largest difference relative to the largest number of the array."""
    mine, theirs = np.asarray(mine), np.asarray(theirs)
    assert mine.shape == theirs.shape
    assert mine.dtype == theirs.dtype
    if mine.dtype.kind in "ib":
        return 0.0 if np.array_equal(mine, theirs) else math.inf
    return float(np.abs(mine - theirs).max() / max(np.abs(theirs).max(), np.finfo(float).tiny))


def agree(operation, answer, expected, tolerance=1e-12):
    """Compare every array of an answer."""
    assert set(answer) == set(expected), operation
    for name, theirs in expected.items():
        assert error(answer[name], theirs) <= tolerance, f"{operation}: {name}"


def flat(tree):
    return dict(tree_items(tree))


def section(settings):
    return settings.model_dump()


def draws(seed=0):
    return np.random.default_rng(seed)


def masked_inputs(config, batch=3):
    labels = random_labels(config, batch)
    if config.model.unconditional_row:
        labels[0] = config.model.unconditional_class
    return random_tokens(config, batch), labels


def diffusion_inputs(config, batch=2):
    draw, labels = draws(1), random_labels(config, batch)
    labels[0] = config.model.unconditional_class
    return draw.standard_normal((batch, *config.model.shape)), draw.random(batch), labels


# --- itself


def test_offers_every_operation_as_it_is_described():
    assert set(ORACLE.describe().operations) == set(OPERATIONS)
    for name in OPERATIONS:
        own = inspect.signature(getattr(ScalarBackend, name)).parameters
        assert list(own) == ["self", *TABLE[name].arguments], name


@pytest.mark.parametrize("path", sorted(Path(scalar.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_shares_no_code_with_the_rest_and_computes_without_numpy(path):
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            imported.add(node.module)
    own = "specs.making.scalar"
    outside = {name for name in imported if not name.startswith(own)} - {"math", "itertools", "struct", "typing"}
    at_the_boundary = path.stem == "boundary" or path.stem.endswith("_operations")
    allowed = {"collections.abc"} | ({"numpy"} if at_the_boundary else set())
    assert outside <= allowed | ({"elt_ref.conformance.backend"} if path.stem == "backend" else set())


def test_values_know_their_slopes():
    x, y = Value(0.7), Value(-1.3)
    z = (2.0 - x * y / 3.0) * exp(y) - log(x) / x + sqrt(x + 5.0) * tanh(-y) + 1.0 / y + dot([x, 2.0, y], [y, x, 1.5])
    assert isinstance(z, Value)
    differentiate(z)

    def again(a, b):
        first = (2 - a * b / 3) * math.exp(b) - math.log(a) / a
        return first + math.sqrt(a + 5) * math.tanh(-b) + 1 / b + a * b + 2 * a + 1.5 * b

    step = 1e-6
    assert math.isclose(z.data, again(0.7, -1.3), rel_tol=1e-15)
    for value, slope in (
        (x, (again(0.7 + step, -1.3) - again(0.7 - step, -1.3)) / (2 * step)),
        (y, (again(0.7, -1.3 + step) - again(0.7, -1.3 - step)) / (2 * step)),
    ):
        assert math.isclose(value.slope, slope, rel_tol=1e-8)


def test_deep_graphs_need_no_recursion():
    x = Value(1.0)
    y = x
    for _ in range(5000):
        y = y + x
    differentiate(y)
    assert x.slope == 5001


def test_rotations_find_eigenvalues_by_hand():
    values, vectors = jacobi([[2.0, 1.0], [1.0, 2.0]])
    assert sorted(values) == pytest.approx([1.0, 3.0], abs=1e-15)
    assert all(abs(entry) == pytest.approx(math.sqrt(0.5)) for row in vectors for entry in row)


# --- layers and networks


def test_layers():
    for family, config in (("masked", MASKED["plain"]), ("diffusion", DIFFUSION["x0"])):
        model, parameters = config.model, random_parameters(config)["block"][1]
        x = draws(2).standard_normal((2, 5, model.width))
        asked = {"parameters": flat(parameters), "heads": model.heads, "epsilon": 1e-6, "x": x}
        if family == "masked":
            expected = post_norm_layer(parameters, x, heads=model.heads, epsilon=1e-6)
            agree("masked_layer", ORACLE.masked_layer(**asked), {"x": expected})
        else:
            conditioning = draws(3).standard_normal((2, model.width))
            chunks = modulate(parameters["modulation"], silu(conditioning), 6)
            expected = adaln_zero_layer({"layer": parameters, "modulation": chunks}, x, heads=model.heads, epsilon=1e-6)
            agree("diffusion_layer", ORACLE.diffusion_layer(**asked, conditioning=conditioning), {"x": expected})


def test_positions_and_times():
    expected = {"positions": sine_cosine_positions(3, 2, 8)}
    agree("positions", ORACLE.positions(rows=3, columns=2, width=8), expected)
    time = np.array([0.0, 0.3, 1.0])
    expected = {"features": time_features(time, 6, 1000.0)}
    agree("time_features", ORACLE.time_features(time=time, width=6, scale=1000.0), expected)


def test_patches():
    config = DIFFUSION["x0"]
    samples = draws(4).standard_normal((2, 4, 6, 3))
    agree("patchify", ORACLE.patchify(samples=samples, patch_size=2), {"patches": patchify(samples, 2)})
    patches = draws(5).standard_normal((2, 6, 12))
    expected = {"samples": unpatchify(patches, config.model.shape, 2)}
    agree("unpatchify", ORACLE.unpatchify(patches=patches, shape=[2, 4, 6, 3], patch_size=2), expected)


def test_patches_by_hand():
    samples = np.arange(8.0).reshape(1, 2, 2, 2)
    assert ORACLE.patchify(samples=samples, patch_size=2)["patches"].tolist() == [[[0, 2, 4, 6, 1, 3, 5, 7]]]
    patches = np.arange(8.0).reshape(1, 1, 8)
    assert np.array_equal(ORACLE.unpatchify(patches=patches, shape=[1, 2, 2, 2], patch_size=2)["samples"], samples)


@masked_families
@pytest.mark.parametrize("loops", [1, 4])
def test_masked_network(config, loops):
    parameters, (tokens, labels) = random_parameters(config), masked_inputs(config)
    asked = {"model": section(config.model), "parameters": flat(parameters), "tokens": tokens, "labels": labels}
    network = open_network(parameters, config, tokens, labels)
    expected = {"states": np.stack(list(loop_states(network.block, network.state, loops)))}
    agree("masked_states", ORACLE.masked_states(**asked, loops=loops), expected)
    expected = {"logits": forward(parameters, config, tokens, labels, loops=loops)}
    agree("masked_forward", ORACLE.masked_forward(**asked, loops=loops), expected)


@diffusion_families
@pytest.mark.parametrize("loops", [1, 4])
def test_diffusion_network(config, loops):
    parameters, inputs = random_parameters(config), diffusion_inputs(config)
    asked = {"model": section(config.model), "parameters": flat(parameters)}
    asked |= dict(zip(("noisy", "time", "labels"), inputs, strict=True))
    network = open_network(parameters, config, *inputs)
    expected = {"states": np.stack(list(loop_states(network.block, network.state, loops)))}
    agree("diffusion_states", ORACLE.diffusion_states(**asked, loops=loops), expected)
    expected = {"prediction": forward(parameters, config, *inputs, loops=loops)}
    agree("diffusion_forward", ORACLE.diffusion_forward(**asked, loops=loops), expected)


# --- objectives


def reference_loss(config, inputs, target, student, weight):
    """Return (terms, gradient) of the reference."""
    terms, gradient = loss_and_gradient(
        random_parameters(config), config, inputs, target, student_loops=student, truth_weight=weight
    )
    terms = {name: np.asarray(term) for name, term in terms._asdict().items()}
    if student is None:
        terms = {name: terms[name] for name in ("total", "teacher_truth")}
    return terms, flat(gradient)


@pytest.mark.few(4)
@masked_families
@students
@pytest.mark.parametrize(("reduction", "smoothing"), [("mean_per_sample", 0.0), ("sum", 0.2)])
def test_masked_objective(config, student, weight, reduction, smoothing):
    model = config.model
    labels = masked_inputs(config, 2)[1]
    tokens = draws(6).integers(model.codebook_size, size=(2, model.tokens))
    mask = draws(7).random(tokens.shape) < 0.5
    mask[0] = [True, *[False] * (model.tokens - 1)]
    target = MaskedTarget(tokens, mask, reduction, smoothing)
    inputs = np.where(mask, model.mask_token, tokens), labels
    terms, gradient = reference_loss(config, inputs, target, student, weight)
    asked = {
        "model": section(model),
        "parameters": flat(random_parameters(config)),
        "tokens": tokens,
        "labels": labels,
        "student_loops": student,
        "truth_weight": weight,
        "label_smoothing": smoothing,
        "mask": mask,
        "reduction": reduction,
    }
    agree("masked_objective", ORACLE.masked_objective(**asked), terms)
    if student is not None and (reduction == "sum") == (student == 1):  # of the vanilla loss: by its training
        agree("masked_gradient", ORACLE.masked_gradient(**asked), gradient, 1e-11)


@pytest.mark.few(6)
@diffusion_families
@students
@pytest.mark.parametrize("reduction", ["mean_per_sample", "sum"])
def test_diffusion_objective(config, student, weight, reduction):
    diffusion = config.diffusion
    clean, time, labels = diffusion_inputs(config)
    noise, snr = draws(8).standard_normal(clean.shape), log_snr(time, diffusion)
    to_predict = prediction_target(diffusion.prediction, clean, noise, snr)
    target = DiffusionTarget(to_predict, time, diffusion, reduction)
    terms, gradient = reference_loss(config, (add_noise(clean, noise, snr), time, labels), target, student, weight)
    asked = {
        "model": section(config.model),
        "diffusion": section(diffusion),
        "parameters": flat(random_parameters(config)),
        "clean": clean,
        "noise": noise,
        "time": time,
        "labels": labels,
        "student_loops": student,
        "truth_weight": weight,
        "reduction": reduction,
    }
    agree("diffusion_objective", ORACLE.diffusion_objective(**asked), terms)
    if student is not None and (reduction == "sum") == (student == 1):  # of the vanilla loss: by its training
        agree("diffusion_gradient", ORACLE.diffusion_gradient(**asked), gradient, 1e-11)


def test_draws_of_training():
    for steps in (1, 2, 7):
        expected = {"weights": np.array([truth_weight_at(step, steps) for step in range(steps)])}
        agree("truth_weights", ORACLE.truth_weights(steps=steps), expected)
    ratio, order = draws(9).random(6), draws(10).integers(0, 5, (6, 9)).astype(float)  # with ties
    ratio[:2] = 2 / 3, 0.0
    expected = {"mask": mask_tokens(ratio, order)}
    agree("mask_tokens", ORACLE.mask_tokens(ratio=ratio, order=order), expected)
    labels, dropped = np.array([0, 1, 2]), np.array([0.1, 0.0999, 0.7])
    expected = {"labels": drop_labels(labels, dropped, rate=0.1, unconditional=3)}
    agree("drop_labels", ORACLE.drop_labels(labels=labels, draws=dropped, rate=0.1, classes=3), expected)


def test_student_draws_are_even_and_below_the_teacher():
    loops = ORACLE.student_draws(min_loops=2, max_loops=5, count=3000, seed=3)["loops"]
    assert loops.dtype == np.int64
    assert np.abs(np.bincount(loops) - [0, 0, 1000, 1000, 1000]).max() < 130  # five deviations
    # The generator's published numbers.
    assert list(itertools.islice(splitmix64(1234567), 2)) == [6457827717110365317, 3203168211198807973]
    assert ORACLE.student_draws(min_loops=1, max_loops=2, count=3, seed=0)["loops"].tolist() == [1, 1, 1]


# --- diffusion


@diffusion_families
def test_noise(config):
    diffusion, time = config.diffusion, np.array([0.0, 0.2, 0.55, 1.0])
    asked = {"diffusion": section(diffusion), "time": time}
    snr = log_snr(time, diffusion)
    expected = {"log_snr": snr, "derivative": log_snr_derivative(time, diffusion)}
    agree("log_snr", ORACLE.log_snr(**asked), expected)
    agree("loss_weight", ORACLE.loss_weight(**asked), {"weight": loss_weight(time, diffusion)})
    clean, noise = draws(11).standard_normal((2, 4, 2, 3, 1))
    kind = diffusion.prediction
    shared = {"clean": clean, "noise": noise, "log_snr": snr}
    agree("add_noise", ORACLE.add_noise(**shared), {"noisy": add_noise(clean, noise, snr)})
    target = prediction_target(kind, clean, noise, snr)
    agree("prediction_target", ORACLE.prediction_target(kind=kind, **shared), {"target": target})
    expected = {"clean": to_x0(kind, noise, clean, snr)}
    agree("to_clean", ORACLE.to_clean(kind=kind, prediction=noise, noisy=clean, log_snr=snr), expected)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"variance": "large", "clip": 0.5},
        {"variance": "interpolated", "variance_fraction": 0.3},
        {"sampler": "ddim", "clip": 0.5},
    ],
)
def test_denoise_step(settings, last):
    diffusion = make_diffusion_config(diffusion=settings).diffusion
    noisy, clean, noise = draws(12).standard_normal((3, 2, 4, 6, 3))
    levels = {"log_snr_t": -1.2, "log_snr_s": 0.4, "last": last}
    expected = {"noisy": denoise_step(noisy, clean, noise, diffusion=diffusion, **levels)}
    asked = {"noisy": noisy, "clean": clean, "noise": noise, **levels}
    agree("denoise_step", ORACLE.denoise_step(diffusion=section(diffusion), **asked), expected)


def test_noise_by_hand():
    diffusion = section(DIFFUSION["x0"].diffusion)
    middle = ORACLE.log_snr(diffusion=diffusion, time=np.array([0.5, 0.0, 1.0]))
    assert middle["log_snr"] == pytest.approx([0.0, 15.0, -15.0], abs=1e-12)
    # At λ = 0 sine and cosine are √½, so the slope is −4 (t_max − t_min), and σ(λ) = ½.
    slope = 4 * (math.pi / 2 - 2 * math.atan(math.exp(-7.5)))
    weight = ORACLE.loss_weight(diffusion=diffusion, time=np.array([0.5]))["weight"]
    assert weight == pytest.approx([slope / 2], rel=1e-12)
    assert ORACLE.time_grid(steps=4)["times"].tolist() == [1, 0.75, 0.5, 0.25, 0]


def test_time_grid():
    for steps in (1, 3, 7):
        agree("time_grid", ORACLE.time_grid(steps=steps), {"times": time_grid(steps)})


# --- decoding and guidance


def reference_lengths(start, steps):
    unknown, lengths = start, []
    for step in range(steps):
        unknown = mask_lengths(start, unknown, step=step, steps=steps, precision="float64")
        lengths.append(unknown)
    return np.stack(lengths)


def test_mask_lengths():
    start = np.array([256, 1024, 9, 1, 0])
    for steps in (1, 3, 12, 24):
        expected = {"lengths": reference_lengths(start, steps)}
        agree("mask_lengths", ORACLE.mask_lengths(start=start, steps=steps), expected)
    # The tables of MaskGIT's schedule, with the tie at 2/3 as float64 has it.
    by_hand = [253, 247, 236, 221, 203, 181, 155, 128, 97, 66, 33, 1]
    assert ORACLE.mask_lengths(start=np.array([256]), steps=12)["lengths"][:, 0].tolist() == by_hand


@pytest.mark.parametrize("temperature", ["plain", "elt"])
@pytest.mark.parametrize("step", [0, 2, 3])
def test_decode_step(temperature, step):
    config = make_config(
        sampling={"sampling_temperature": temperature, "choice_temperature": 2.5}, grid=(3, 3), codebook_size=6
    )
    draw, mask = draws(step), config.model.mask_token
    logits = 2 * draw.standard_normal((4, 9, 6))
    tokens = draw.integers(6, size=(4, 9))
    tokens[0], tokens[1, 3:], tokens[2, :4] = mask, mask, mask
    logits[0, 1], logits[0, 2] = logits[0, 0], logits[0, 0]  # equally confident at the last step
    token_noise, confidence_noise = draw.gumbel(size=logits.shape), draw.gumbel(size=tokens.shape)
    start = np.array([9, 8, 9, 5])
    schedule = {"step": step, "steps": 4, "start": start, "mask_token": mask}
    noise = DecodeNoise(token_noise, confidence_noise)
    running, answer = decode_step(logits, tokens, noise, sampling=config.sampling, **schedule)
    asked = {"logits": logits, "tokens": tokens, "token_noise": token_noise, "confidence_noise": confidence_noise}
    asked |= {"choice_temperature": 2.5, "sampling_temperature": temperature}
    agree("decode_step", ORACLE.decode_step(**asked, **schedule), {"tokens": running, "answer": answer})


def test_guidance():
    conditional, unconditional = draws(13).standard_normal((2, 3, 4, 5))
    expected = {"guided": guide(conditional, unconditional, 3.0)}
    agree("guide", ORACLE.guide(conditional=conditional, unconditional=unconditional, scale=3.0), expected)
    for schedule in ("constant", "ramp"):
        for steps in (1, 5):
            asked = {"scale": 3.0, "schedule": schedule}
            expected = {"scales": np.array([float(guidance_scale_at(step, steps, **asked)) for step in range(steps)])}
            agree("guidance_scales", ORACLE.guidance_scales(**asked, steps=steps), expected)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_masked_sample(scale):
    loops = [2, 1, 3]
    sampling = {"steps": 3, "guidance_scale": scale, "guidance_schedule": "ramp", "sampling_temperature": "elt"}
    config = make_config(sampling=sampling)
    model, parameters, labels = config.model, random_parameters(config), random_labels(config, 2)
    begin = np.full((2, 4), model.mask_token)
    begin[1, 2] = 3
    draw = draws(14)
    token_noise, confidence_noise = draw.gumbel(size=(3, 2, 4, model.codebook_size)), draw.gumbel(size=(3, 2, 4))
    tokens, start = begin, (begin == model.mask_token).sum(axis=1)
    for step in range(3):
        s = float(guidance_scale_at(step, 3, scale=scale, schedule="ramp"))
        logits, _ = predict_tokens(parameters, config, tokens, labels, loops=loops[step], guidance_scale=s)
        noise = DecodeNoise(token_noise[step], confidence_noise[step])
        settled = {"step": step, "steps": 3, "start": start, "mask_token": model.mask_token}
        tokens, answer = decode_step(logits, tokens, noise, sampling=config.sampling, **settled)
    asked = {"tokens": begin, "labels": labels, "token_noise": token_noise, "confidence_noise": confidence_noise}
    asked |= {"model": section(model), "sampling": section(config.sampling), "parameters": flat(parameters)}
    agree("masked_sample", ORACLE.masked_sample(**asked, loops=loops), {"tokens": answer})


@diffusion_families
def test_diffusion_sample(config):
    config = config.model_copy(update={"sampling": config.sampling.model_copy(update={"guidance_scale": 3.0})})
    loops = [2, 1, 3]
    diffusion, parameters, labels = config.diffusion, random_parameters(config), random_labels(config, 2)
    initial = draws(15).standard_normal((2, *config.model.shape))
    step_noise = draws(16).standard_normal((3, *initial.shape))
    times, noisy = time_grid(3), initial
    snr = log_snr(times, diffusion)
    for step in range(3):
        clean, _ = predict_clean(
            parameters, config, noisy, float(times[step]), labels, loops=loops[step], guidance_scale=3.0
        )
        levels = {"log_snr_t": float(snr[step]), "log_snr_s": float(snr[step + 1]), "last": step == 2}
        noisy = denoise_step(noisy, clean, step_noise[step], diffusion=diffusion, **levels)
    asked = {"initial_noise": initial, "step_noise": step_noise, "labels": labels, "loops": loops}
    asked |= {"model": section(config.model), "diffusion": section(diffusion), "sampling": section(config.sampling)}
    answer = ORACLE.diffusion_sample(**asked, parameters=flat(parameters))
    agree("diffusion_sample", answer, {"samples": noisy}, 1e-10)


# --- training


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_optimizer(schedule):
    training = make_config(
        training={"steps": 6, "warmup_steps": 2, "weight_decay": 0.1, "schedule": schedule, "learning_rate": 0.05}
    ).training
    config = DIFFUSION["x0"]
    parameters, gradient, first, second = (random_parameters(config, seed) for seed in range(4))
    second = random_parameters(config, 4)
    for leaf in flat(second).values():
        np.square(leaf, out=leaf)
    rates = np.array([float(learning_rate_at(step, training)) for step in range(6)])
    agree("learning_rates", ORACLE.learning_rates(training=section(training)), {"rates": rates})
    for step in (0, 4):
        rate = learning_rate_at(step, training)
        new, moments = adamw(parameters, gradient, Moments(first, second), step=step, rate=rate, training=training)
        trees = {"parameters": new, "first": moments.first, "second": moments.second}
        expected = {f"{kind}.{name}": leaf for kind, tree in trees.items() for name, leaf in flat(tree).items()}
        asked = {"parameters": flat(parameters), "gradient": flat(gradient)}
        asked |= {"first": flat(first), "second": flat(second), "step": step, "training": section(training)}
        agree("optimizer_step", ORACLE.optimizer_step(**asked), expected)
    for largest in (0.7, 1000.0):
        clipped, norm = clip_gradient(gradient, largest)
        expected = {f"gradient.{name}": leaf for name, leaf in flat(clipped).items()} | {"norm": np.asarray(norm)}
        agree("clip_gradient", ORACLE.clip_gradient(gradient=flat(gradient), largest=largest), expected)
    averaged = moving_average(first, parameters, 0.9)
    expected = {f"average.{name}": leaf for name, leaf in flat(averaged).items()}
    answer = ORACLE.moving_average(average=flat(first), parameters=flat(parameters), decay=0.9)
    agree("moving_average", answer, expected)


TRAINING = {"steps": 4, "warmup_steps": 1, "weight_decay": 0.1, "learning_rate": 0.01, "gradient_clip": 0.5}


def reference_training(config, steps):
    """Return the answer of the reference after `steps`, pairs of batch and draws."""
    parameters = random_parameters(config)
    state, losses = TrainState(0, parameters, zero_moments(parameters), parameters), []
    for batch, drawn in steps:
        state, info = train_step(state, batch, drawn, config=config)
        losses.append(info.terms.total)
    trees = {"parameters": state.parameters, "average": state.average}
    expected = {f"{kind}.{name}": leaf for kind, tree in trees.items() for name, leaf in flat(tree).items()}
    return expected | {"total": np.array(losses)}


@pytest.mark.parametrize("kind", ["ilsd", "vanilla"])
def test_masked_training(kind):
    config = make_config(objective={"kind": kind, "label_drop_rate": 0.5, "label_smoothing": 0.1}, training=TRAINING)
    model, draw = config.model, draws(17)
    given = {
        "tokens": draw.integers(model.codebook_size, size=(3, 2, model.tokens)),
        "labels": draw.integers(model.classes, size=(3, 2)),
        "mask_ratio": draw.random((3, 2)),
        "mask_order": draw.random((3, 2, model.tokens)),
        "label_drop": draw.random((3, 2)),
        "student_loops": np.array([2, 1, 2]),
    }
    steps = []
    given = {name: array[: 3 if kind == "ilsd" else 2] for name, array in given.items()}
    for tokens, labels, *drawn, student in zip(*given.values(), strict=True):
        student_loops = int(student) if kind == "ilsd" else None
        steps.append((Batch(tokens, labels), MaskedDraws(*drawn, student_loops)))
    asked = {"model": section(model), "objective": section(config.objective), "training": section(config.training)}
    answer = ORACLE.masked_training(**asked, parameters=flat(random_parameters(config)), **given)
    agree("masked_training", answer, reference_training(config, steps), 1e-9)


@pytest.mark.parametrize("kind", ["ilsd", "vanilla"])
def test_diffusion_training(kind):
    config = make_diffusion_config(
        objective={"kind": kind, "label_drop_rate": 0.5}, training=TRAINING, diffusion={"prediction": "v"}
    )
    model, draw = config.model, draws(18)
    shape = (3, 2, *model.shape)
    given = {
        "clean": draw.standard_normal(shape),
        "labels": draw.integers(model.classes, size=(3, 2)),
        "time": draw.random((3, 2)),
        "noise": draw.standard_normal(shape),
        "label_drop": draw.random((3, 2)),
        "student_loops": np.array([2, 1, 2]),
    }
    steps = []
    given = {name: array[: 3 if kind == "ilsd" else 2] for name, array in given.items()}
    for clean, labels, *drawn, student in zip(*given.values(), strict=True):
        student_loops = int(student) if kind == "ilsd" else None
        steps.append((Batch(clean, labels), DiffusionDraws(*drawn, student_loops)))
    asked = {"model": section(model), "objective": section(config.objective), "training": section(config.training)}
    asked |= {"diffusion": section(config.diffusion), "parameters": flat(random_parameters(config))}
    agree("diffusion_training", ORACLE.diffusion_training(**asked, **given), reference_training(config, steps), 1e-9)


# --- accounts and measures


@pytest.mark.parametrize("config", [*MASKED.values(), *DIFFUSION.values()], ids=[*MASKED, *DIFFUSION])
def test_count(config):
    counted = count(config, loops=5)
    expected = {
        "looped_parameters": counted.looped_parameters,
        "total_parameters": counted.total_parameters,
        "looped_macs": counted.looped_macs_per_forward,
    }
    expected = {name: np.asarray(number, np.int64) for name, number in expected.items()}
    agree("count", ORACLE.count(model=section(config.model), loops=5), expected)
    assert sum(leaf.size for leaf in flat(random_parameters(config)).values()) == counted.total_parameters


def test_frechet_distance():
    draw = draws(19)
    one, other = draw.standard_normal((40, 5)) @ draw.standard_normal((5, 5)), 1 + 2 * draw.standard_normal((30, 5))
    expected = {"distance": np.asarray(frechet_distance(fit_gaussian(one), fit_gaussian(other)))}
    agree("frechet_distance", ORACLE.frechet_distance(features=one, others=other), expected)
    # Fewer samples than features: the roots of rounding errors are all that differs.
    expected = {"distance": np.asarray(frechet_distance(fit_gaussian(one[:4]), fit_gaussian(other[:3])))}
    agree("frechet_distance", ORACLE.frechet_distance(features=one[:4], others=other[:3]), expected, 1e-7)


def test_frechet_distance_by_hand():
    # Variances 2 and 8, means 1 and 4: 3² + (√2 − √8)² = 9 + 2.
    one, other = np.array([[0.0], [2.0]]), np.array([[2.0], [6.0]])
    assert ORACLE.frechet_distance(features=one, others=other)["distance"] == pytest.approx(11.0, rel=1e-15)


def test_inception_score():
    logits = 3 * draws(20).standard_normal((17, 4))
    for splits in (1, 3):
        expected = {"score": np.asarray(inception_score(logits, splits))}
        agree("inception_score", ORACLE.inception_score(logits=logits, splits=splits), expected)
    assert ORACLE.inception_score(logits=1000 * np.eye(4), splits=1)["score"] == pytest.approx(4.0, rel=1e-15)
