# elt_ref/conformance/backend.py types and describes the methods of `Backend`.
# ruff: noqa: ANN001, ANN003, ANN201, ANN202
"""The adapter of `elt_jax` for elt_ref's judge: every operation, with NumPy arrays in and out.

elt-ref conform run elt_ref.ports.elt_jax_backend:Backend
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from elt_jax import (
    Config,
    Diffusion,
    Objective,
    Sampling,
    Training,
    Tree,
    adamw,
    add_noise,
    clip_gradient,
    count,
    decode_clips,
    decode_step,
    denoise_step,
    diffusion_layer,
    diffusion_loss,
    diffusion_sample,
    draw_student_loops,
    drop_labels,
    encode_clips,
    flatten,
    forward,
    frechet_distance,
    given_frames,
    guidance_scales,
    guide,
    inception_score,
    init_state,
    learning_rate_at,
    log_snr_and_slope,
    loop_states,
    loss_weight,
    mask_lengths,
    mask_tokens,
    masked_layer,
    masked_loss,
    masked_sample,
    modulation,
    moving_average,
    open_network,
    patchify,
    positions,
    prediction_target,
    read_model,
    read_section,
    scheduled_lengths,
    seed_key,
    step_coefficients,
    step_keys,
    time_features,
    to_clean,
    train_steps,
    train_steps_across,
    truth_weight_at,
    unflatten,
    unpatchify,
)
from jax import Array


@dataclass(frozen=True)
class Description:
    """The backend's description of itself."""

    name: str = "elt_jax"
    version: str = jax.__version__
    operations: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ("float64", "float32")
    choices: Mapping[str, str] = field(default_factory=lambda: {"sampling.schedule_precision": "float64"})


@partial(jax.jit, static_argnames=("model", "loops"))
def _states(parameters: Tree, *inputs: Array, model: Any, loops: int) -> Array:
    return loop_states(open_network(parameters, model, *inputs), loops)


@partial(jax.jit, static_argnames="model")
def _forward(parameters: Tree, *inputs: Array, model: Any, loops: Array) -> Array:
    return forward(open_network(parameters, model, *inputs), loops)


_GRADIENTS = {  # one compiled program gives value, terms and gradient
    masked_loss: jax.jit(jax.value_and_grad(masked_loss, has_aux=True), static_argnames=("model", "objective")),
    diffusion_loss: jax.jit(
        jax.value_and_grad(diffusion_loss, has_aux=True), static_argnames=("model", "diffusion", "objective")
    ),
}


_answers = itertools.count(1)


def _named(prefix: str, tree: Tree) -> dict[str, np.ndarray]:
    named = {f"{prefix}{name}": np.asarray(leaf) for name, leaf in flatten(tree).items()}
    if next(_answers) % 50 == 0:
        jax.clear_caches()  # every case has new shapes; compiled programs keep memory maps, which would run out
    return named


class Backend:
    """The operations of elt_ref's judge: NumPy arrays in, NumPy arrays out, in the input's dtype."""

    def __init__(self) -> None:
        """Enable float64, and exact products on devices that would round them."""
        jax.config.update("jax_enable_x64", True)
        jax.config.update("jax_default_matmul_precision", "highest")

    def describe(self):
        operations = [name for name in vars(Backend) if not name.startswith("_") and name != "describe"]
        return Description(operations=tuple(operations))

    # --- layers and parts of the networks

    def masked_layer(self, *, parameters, x, heads, epsilon):
        return _named("", {"x": masked_layer(unflatten(parameters), jnp.asarray(x), heads, epsilon)})

    def diffusion_layer(self, *, parameters, x, conditioning, heads, epsilon):
        p = unflatten(parameters)
        chunks = modulation(p["modulation"], jnp.asarray(conditioning), 6)
        return _named("", {"x": diffusion_layer(p, jnp.asarray(x), chunks, heads, epsilon)})

    def positions(self, *, rows, columns, width):
        return {"positions": positions(rows, columns, width)}

    def time_features(self, *, time, width, scale):
        return {"features": np.asarray(time_features(jnp.asarray(time), width, scale), time.dtype)}

    def patchify(self, *, samples, patch_size):
        return _named("", {"patches": patchify(jnp.asarray(samples), patch_size)})

    def unpatchify(self, *, patches, shape, patch_size):
        return _named("", {"samples": unpatchify(jnp.asarray(patches), tuple(shape)[-3:], patch_size)})

    # --- networks

    def masked_states(self, *, model, parameters, tokens, labels, loops):
        states = _states(unflatten(parameters), tokens, labels, model=read_model(model), loops=loops)
        return _named("", {"states": states})

    def masked_forward(self, *, model, parameters, tokens, labels, loops):
        logits = _forward(unflatten(parameters), tokens, labels, model=read_model(model), loops=loops)
        return _named("", {"logits": logits})

    def diffusion_states(self, *, model, parameters, noisy, time, labels, loops):
        states = _states(unflatten(parameters), noisy, time, labels, model=read_model(model), loops=loops)
        return _named("", {"states": states})

    def diffusion_forward(self, *, model, parameters, noisy, time, labels, loops):
        prediction = _forward(unflatten(parameters), noisy, time, labels, model=read_model(model), loops=loops)
        return _named("", {"prediction": prediction})

    # --- objectives

    def _loss(self, loss, model, parameters, objective, **given):
        (total, terms), gradient = _GRADIENTS[loss](
            unflatten(parameters), model=read_model(model), objective=read_section(Objective, objective), **given
        )
        return _named("", {"total": total, **terms}), _named("", gradient)

    def _masked(self, model, parameters, reduction, label_smoothing, **given):
        objective = {"reduction": reduction, "label_smoothing": label_smoothing}
        return self._loss(masked_loss, model, parameters, objective, **given)

    def _diffusion(self, model, parameters, diffusion, reduction, **given):
        diffusion = read_section(Diffusion, diffusion)
        return self._loss(diffusion_loss, model, parameters, {"reduction": reduction}, diffusion=diffusion, **given)

    def masked_objective(self, **given):
        return self._masked(**given)[0]

    def masked_gradient(self, **given):
        return self._masked(**given)[1]

    def diffusion_objective(self, **given):
        return self._diffusion(**given)[0]

    def diffusion_gradient(self, **given):
        return self._diffusion(**given)[1]

    def truth_weights(self, *, steps):
        return _named("", {"weights": truth_weight_at(jnp.arange(steps), steps)})

    def student_draws(self, *, min_loops, max_loops, count, seed):
        draws = jax.vmap(lambda key: draw_student_loops(key["student_loops"], min_loops, max_loops))
        return _named("", {"loops": draws(jax.vmap(partial(step_keys, seed_key(seed)))(jnp.arange(count)))})

    def mask_tokens(self, *, ratio, order):
        return _named("", {"mask": mask_tokens(ratio, jnp.asarray(order))})

    def drop_labels(self, *, labels, draws, rate, classes):
        return _named("", {"labels": drop_labels(labels, draws, rate, classes)})

    # --- diffusion

    def log_snr(self, *, diffusion, time):
        log_snr, derivative = log_snr_and_slope(jnp.asarray(time), read_section(Diffusion, diffusion))
        return {"log_snr": np.asarray(log_snr, time.dtype), "derivative": np.asarray(derivative, time.dtype)}

    def loss_weight(self, *, diffusion, time):
        return {"weight": np.asarray(loss_weight(jnp.asarray(time), read_section(Diffusion, diffusion)), time.dtype)}

    def add_noise(self, *, clean, noise, log_snr):
        return _named("", {"noisy": add_noise(clean, noise, log_snr)})

    def prediction_target(self, *, kind, clean, noise, log_snr):
        return _named("", {"target": prediction_target(kind, clean, noise, log_snr)})

    def to_clean(self, *, kind, prediction, noisy, log_snr):
        return _named("", {"clean": to_clean(kind, prediction, noisy, log_snr)})

    def denoise_step(self, *, diffusion, noisy, clean, noise, log_snr_t, log_snr_s, last):
        diffusion = read_section(Diffusion, diffusion)
        coefficients = step_coefficients(jnp.asarray(log_snr_t, float), jnp.asarray(log_snr_s, float), last, diffusion)
        return _named("", {"noisy": denoise_step(noisy, clean, noise, coefficients, diffusion.clip)})

    def time_grid(self, *, steps):
        return _named("", {"times": jnp.linspace(1, 0, steps + 1)})

    # --- decoding and guidance

    def mask_lengths(self, *, start, steps):
        return _named("", {"lengths": mask_lengths(jnp.asarray(start, int), steps)})

    def decode_step(
        self, *, logits, tokens, start, token_noise, confidence_noise, step, steps, mask_token, **temperatures
    ):
        scheduled, left = scheduled_lengths(start, steps)[step], 1 - (step + 1) / steps
        sampling = Sampling(**temperatures)
        after, answer = decode_step(
            logits, tokens, token_noise, confidence_noise, scheduled, left, mask_token, sampling
        )
        return _named("", {"tokens": after, "answer": answer})

    def guide(self, *, conditional, unconditional, scale):
        return _named("", {"guided": guide(conditional, unconditional, scale)})

    def guidance_scales(self, *, scale, steps, schedule):
        return {"scales": guidance_scales(scale, steps, schedule)}

    def masked_sample(self, *, model, sampling, parameters, loops, **given):
        settings = {"model": read_model(model), "sampling": read_section(Sampling, sampling)}
        return _named("", {"tokens": masked_sample(unflatten(parameters), loops=np.array(loops), **given, **settings)})

    def diffusion_sample(self, *, model, diffusion, sampling, parameters, loops, **given):
        settings = {"model": read_model(model), "sampling": read_section(Sampling, sampling)}
        settings["diffusion"] = read_section(Diffusion, diffusion)
        samples = diffusion_sample(unflatten(parameters), loops=np.array(loops), **given, **settings)
        return _named("", {"samples": samples})

    # --- clips

    def encode_clips(self, *, clips, codebook, patch_frames, patch_size):
        tokens = encode_clips(jnp.asarray(clips), jnp.asarray(codebook), patch_frames, patch_size)
        return {"tokens": np.asarray(tokens, np.int64)}

    def decode_clips(self, *, tokens, codebook, grid, patch_frames, patch_size):
        return _named("", {"clips": decode_clips(tokens, jnp.asarray(codebook), grid, patch_frames, patch_size)})

    def given_frames(self, *, tokens, frames, grid, mask_token):
        return {"tokens": np.asarray(given_frames(tokens, frames, grid, mask_token), np.int64)}

    # --- training

    def optimizer_step(self, *, training, step, parameters, gradient, first, second):
        trees = map(dict, (parameters, gradient, first, second))  # flat dicts are pytrees too
        parameters, first, second = adamw(*trees, step, read_section(Training, training))
        return _named("parameters.", parameters) | _named("first.", first) | _named("second.", second)

    def clip_gradient(self, *, gradient, largest):
        clipped, norm = clip_gradient(dict(gradient), largest)
        return _named("gradient.", clipped) | _named("", {"norm": norm})

    def learning_rates(self, *, training):
        training = read_section(Training, training)
        return _named("", {"rates": learning_rate_at(jnp.arange(training.steps), training)})

    def moving_average(self, *, average, parameters, decay):
        return _named("average.", moving_average(dict(average), dict(parameters), decay))

    def _train(self, model, diffusion, objective, training, parameters, batches, steps=train_steps):
        parameters = jax.tree.map(jnp.asarray, unflatten(parameters))
        training = {**training, "dtype": str(jax.tree.leaves(parameters)[0].dtype)}
        sections = read_section(Objective, objective), read_section(Training, training)
        config = Config(read_model(model), diffusion, *sections)
        state, losses = steps(init_state(parameters), batches, config=config)
        trees = _named("parameters.", state.parameters) | _named("average.", state.average)
        return trees | _named("", {"total": losses})

    def masked_training(self, *, model, objective, training, parameters, tokens, **draws):
        return self._train(model, None, objective, training, parameters, {"examples": tokens, **draws})

    def masked_training_across(self, *, processes, model, objective, training, parameters, student_loops, **batches):
        shares = {
            name: array.reshape(len(array), processes, array.shape[1] // processes, *array.shape[2:])
            for name, array in batches.items()
        }
        shares = {"examples": shares.pop("tokens"), "student_loops": student_loops, **shares}
        return self._train(model, None, objective, training, parameters, shares, train_steps_across)

    def diffusion_training(self, *, model, diffusion, objective, training, parameters, clean, **draws):
        diffusion = read_section(Diffusion, diffusion)
        return self._train(model, diffusion, objective, training, parameters, {"examples": clean, **draws})

    # --- accounts and measures

    def count(self, *, model, loops):
        return {name: np.asarray(number, np.int64) for name, number in count(read_model(model), loops).items()}

    def frechet_distance(self, *, features, others):  # in float64, as usual: small eigenvalues need it
        distance = frechet_distance(jnp.asarray(features, float), jnp.asarray(others, float))
        return {"distance": np.asarray(distance, features.dtype)}

    def inception_score(self, *, logits, splits):
        return {"score": np.asarray(inception_score(jnp.asarray(logits, float), splits), logits.dtype)}
