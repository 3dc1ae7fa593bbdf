"""Elastic Looped Transformers in JAX, in one file: both families, training and sampling.

    F_(N,L)(x) = g(g(… g(x)))     L loops of one block g of N layers

A port of elt_ref: the same parameters under the same names give the same numbers. Everything is a pure function of
pytrees. In training the loop is a `lax.scan`, which keeps the states for the student. In sampling it is a `fori_loop`
with a traced number of turns, because only the last state counts: one compiled program serves every L.

    python elt_jax.py config.toml examples.safetensors checkpoint.safetensors

Shapes: B batch, T tokens, n sequence (T, and the class token in the masked family), d width, V codes, L loops, K steps.
"""

import argparse
import hashlib
import json
import math
import re
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.nn import initializers
from safetensors import safe_open
from safetensors.numpy import save_file

Tree: TypeAlias = Any

# ---------------------------------------------------------------------------------------------------- configuration
# Frozen, hence hashable, hence static to jit. Fields and defaults equal elt_ref's TOML.


@dataclass(frozen=True, kw_only=True)
class Looped:
    """N layers of width d, applied L times."""

    layers: int
    max_loops: int
    width: int
    heads: int
    mlp_width: int
    classes: int  # the label `classes` means "no class"


@dataclass(frozen=True, kw_only=True)
class MaskedModel(Looped):
    """The section [model] of the masked family, as in MaskGIT."""

    grid: tuple[int, ...]
    codebook_size: int
    unconditional_row: bool = True
    layer_norm_epsilon: float = 1e-12
    initial_deviation: float = 0.02

    tokens = property(lambda self: math.prod(self.grid))
    # The embedding's rows: codes, classes, "no class" (if any), mask.
    mask_token = property(lambda self: self.codebook_size + self.classes + self.unconditional_row)


@dataclass(frozen=True, kw_only=True)
class DiffusionModel(Looped):
    """The section [model] of the diffusion family, as in DiT."""

    shape: tuple[int, int, int]  # height, width, channels
    patch_size: int
    layer_norm_epsilon: float = 1e-6
    time_features: int = 256
    time_scale: float = 1000.0

    grid = property(lambda self: (self.shape[0] // self.patch_size, self.shape[1] // self.patch_size))
    tokens = property(lambda self: math.prod(self.grid))


@dataclass(frozen=True, kw_only=True)
class Diffusion:
    """The section [diffusion]: noise schedule, loss weight, sampler."""

    shift: float
    bias: float
    shift_at_noise: float | None = None
    log_snr_min: float = -15.0
    log_snr_max: float = 15.0
    prediction: str = "x0"
    weight_derivative: bool = True
    sampler: str = "ancestral"
    variance: str = "small"
    variance_fraction: float = 0.5
    clip: float | None = None


@dataclass(frozen=True)
class Objective:
    """The section [objective]."""

    kind: str = "ilsd"
    min_loops: int = 1
    reduction: str = "mean_per_sample"
    label_smoothing: float = 0.0
    mask_ratio_per: str = "sample"
    label_drop_rate: float = 0.1
    label_drop_per: str = "sample"


@dataclass(frozen=True)
class Sampling:
    """The section [sampling], without its steps and loops."""

    guidance_scale: float = 1.0
    guidance_schedule: str = "constant"
    choice_temperature: float = 4.5
    sampling_temperature: str = "plain"
    schedule_precision: str = "float64"


@dataclass(frozen=True)
class Training:
    """The section [training]."""

    steps: int = 800
    batch_size: int = 64
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    warmup_steps: int = 100
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    gradient_clip: float = 1.0
    average_decay: float = 0.99
    dtype: str = "float32"
    rematerialise: bool = False


@dataclass(frozen=True)
class Config:
    """The sections that a training step reads."""

    model: MaskedModel | DiffusionModel
    diffusion: Diffusion | None
    objective: Objective
    training: Training


def read_section(kind: type, section: Mapping[str, Any]) -> Any:
    """Return the section as its dataclass; keys that the dataclass lacks are ignored."""
    known = {f.name: section[f.name] for f in fields(kind) if f.name in section}
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in known.items()})


def read_model(section: Mapping[str, Any]) -> MaskedModel | DiffusionModel:
    """Return the [model] section of either family."""
    return read_section(DiffusionModel if section.get("family") == "diffusion" else MaskedModel, section)


# ------------------------------------------------------------------------------------------------------- parameters


def flatten(tree: Tree) -> dict[str, Any]:
    """Return the leaves by dotted name: ``block.0.mlp.up.weight``."""
    return {dotted(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}


def dotted(path: Any) -> str:
    """Return the dotted name of a pytree path."""
    return jax.tree_util.keystr(path, simple=True, separator=".")


def unflatten(flat: Mapping[str, Any]) -> Tree:
    """Return the tree from dotted names; numbers index lists."""
    tree: dict[str, Any] = {}
    for name, leaf in flat.items():
        *parents, last = name.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = leaf

    def lists(node: Any) -> Any:
        if not isinstance(node, dict):
            return node
        node = {key: lists(child) for key, child in node.items()}
        return [node[str(i)] for i in range(len(node))] if "0" in node else node

    return lists(tree)


def init_parameters(key: Array, model: MaskedModel | DiffusionModel, dtype: str = "float32") -> Tree:
    """Return initial parameters; under `jax.eval_shape`, their shapes. Kernels are [inputs, outputs]."""
    d = model.width
    zeros, ones = initializers.zeros, initializers.ones
    masked = isinstance(model, MaskedModel)
    # As in elt_ref: a normal cut at ±2, without a correction for the cut (MaskGIT), or Xavier-uniform (DiT).
    kernel = initializers.truncated_normal(model.initial_deviation) if masked else initializers.glorot_uniform()

    def linear(inputs: int, outputs: int, weight: Callable[..., Array] = kernel) -> Tree:
        return {"weight": (weight, (inputs, outputs)), "bias": (zeros, (outputs,))}

    norm = {"scale": (ones, (d,)), "bias": (zeros, (d,))}
    layer = {
        "attention": {"query_key_value": linear(d, 3 * d), "output": linear(d, d)},
        "mlp": {"up": linear(d, model.mlp_width), "down": linear(model.mlp_width, d)},
    }
    if masked:
        layer |= {"attention_norm": norm, "mlp_norm": norm}
        embedding = {"word": (kernel, (model.mask_token + 1, d)), "position": (kernel, (model.tokens + 1, d))}
        head = {"dense": linear(d, d), "norm": norm, "bias": (zeros, (model.codebook_size,))}
        embedding["norm"] = norm
    else:
        patch, small = model.patch_size**2 * model.shape[2], initializers.normal(0.02)
        layer["modulation"] = linear(d, 6 * d, zeros)  # adaLN-Zero: each layer starts as the identity
        embedding = {
            "patch": linear(patch, d),
            "time_in": linear(model.time_features, d, small),
            "time_out": linear(d, d, small),
            "label": (small, (model.classes + 1, d)),
        }
        head = {"modulation": linear(d, 2 * d, zeros), "output": linear(d, patch, zeros)}
    declared = {"embedding": embedding, "block": [layer] * model.layers, "head": head}
    leaves, structure = jax.tree.flatten(declared, is_leaf=lambda node: isinstance(node, tuple))
    keys = jax.random.split(key, len(leaves))
    return structure.unflatten(init(k, shape, dtype) for k, (init, shape) in zip(keys, leaves, strict=True))


# ----------------------------------------------------------------------------------------------------------- layers


def linear(p: Tree, x: Array) -> Array:
    """Return x W + b."""
    return x @ p["weight"] + p["bias"]


def layer_norm(x: Array, epsilon: float) -> Array:
    """Return x̂ = (x − mean) / √(variance + ε) over the last axis."""
    return (x - x.mean(-1, keepdims=True)) * lax.rsqrt(x.var(-1, keepdims=True) + epsilon)


def scaled_norm(p: Tree, x: Array, epsilon: float) -> Array:
    """Return γ x̂ + β, the masked family's norm."""
    return p["scale"] * layer_norm(x, epsilon) + p["bias"]


def attention(p: Tree, x: Array, heads: int) -> Array:
    """Attend from every token to every token; `jax.nn.dot_product_attention` would compute its softmax in float32."""
    batch, n, d = x.shape
    q, k, v = jnp.moveaxis(linear(p["query_key_value"], x).reshape(batch, n, 3, heads, d // heads), 2, 0)
    probabilities = jax.nn.softmax(jnp.einsum("bqhc,bkhc->bhqk", q, k) / math.sqrt(d // heads))
    return linear(p["output"], jnp.einsum("bhqk,bkhc->bqhc", probabilities, v).reshape(batch, n, d))


def mlp(p: Tree, x: Array) -> Array:
    """Return Linear, GELU (tanh), Linear."""
    return linear(p["down"], jax.nn.gelu(linear(p["up"], x)))


@partial(jax.jit, static_argnames=("heads", "epsilon"))
def masked_layer(p: Tree, x: Array, heads: int, epsilon: float) -> Array:
    """Post-LN layer: normalise each residual sum. x [B, n, d]."""
    x = scaled_norm(p["attention_norm"], x + attention(p["attention"], x, heads), epsilon)
    return scaled_norm(p["mlp_norm"], x + mlp(p["mlp"], x), epsilon)


def modulation(p: Tree, conditioning: Array, chunks: int) -> list[Array]:
    """Return `chunks` vectors [B, 1, d] for a layer or the head, computed from c [B, d]."""
    return jnp.split(linear(p, jax.nn.silu(conditioning))[:, None], chunks, axis=-1)


@partial(jax.jit, static_argnames=("heads", "epsilon"))
def diffusion_layer(p: Tree, x: Array, modulation: list[Array], heads: int, epsilon: float) -> Array:
    """adaLN-Zero layer: each branch reads a modulated norm and adds through a gate. x [B, n, d]."""
    shift1, scale1, gate1, shift2, scale2, gate2 = modulation
    x = x + gate1 * attention(p["attention"], layer_norm(x, epsilon) * (1 + scale1) + shift1, heads)
    return x + gate2 * mlp(p["mlp"], layer_norm(x, epsilon) * (1 + scale2) + shift2)


# --------------------------------------------------------------------------------------------------------- networks


class Network(NamedTuple):
    """A network with its inputs embedded; its prediction is head(g(… g(state)))."""

    state: Array  # [B, n, d] before the first loop
    block: Callable[[Array], Array]  # g, state to state
    head: Callable[[Array], Array]  # state to prediction, outside the loop


def masked_network(parameters: Tree, model: MaskedModel, tokens: Array, labels: Array) -> Network:
    """MaskGIT's network: embed [class | tokens]; the tied embedding gives logits over the codebook. tokens [B, T]."""
    tables, final, epsilon = parameters["embedding"], parameters["head"], model.layer_norm_epsilon
    ids = jnp.concatenate([model.codebook_size + labels.astype(int)[:, None], tokens], axis=1)

    def block(x: Array) -> Array:
        for layer in parameters["block"]:
            x = masked_layer(layer, x, model.heads, epsilon)
        return x

    def head(x: Array) -> Array:
        hidden = jax.nn.gelu(linear(final["dense"], x[:, 1:]))  # the class token predicts nothing
        hidden = scaled_norm(final["norm"], hidden, epsilon)
        return hidden @ tables["word"][: model.codebook_size].T + final["bias"]  # [B, T, V]

    return Network(scaled_norm(tables["norm"], tables["word"][ids] + tables["position"], epsilon), block, head)


def diffusion_network(parameters: Tree, model: DiffusionModel, noisy: Array, time: Array, labels: Array) -> Network:
    """DiT's network: embed patches of z_t, and time and class as c, the same in every loop. noisy [B, H, W, C]."""
    tables, final, epsilon = parameters["embedding"], parameters["head"], model.layer_norm_epsilon
    features = time_features(time, model.time_features, model.time_scale).astype(noisy.dtype)
    hidden = linear(tables["time_out"], jax.nn.silu(linear(tables["time_in"], features)))
    conditioning = hidden + tables["label"][labels]
    # Computed once for all loops: the modulations depend on nothing that a loop computes.
    layers = [(layer, modulation(layer["modulation"], conditioning, 6)) for layer in parameters["block"]]
    shift, scale = modulation(final["modulation"], conditioning, 2)

    def block(x: Array) -> Array:
        for layer, modulations in layers:
            x = diffusion_layer(layer, x, modulations, model.heads, epsilon)
        return x

    def head(x: Array) -> Array:
        patches = linear(final["output"], layer_norm(x, epsilon) * (1 + scale) + shift)
        return unpatchify(patches, model.shape, model.patch_size)

    patches = linear(tables["patch"], patchify(noisy, model.patch_size))
    return Network(patches + positions(*model.grid, model.width).astype(noisy.dtype), block, head)


def open_network(parameters: Tree, model: MaskedModel | DiffusionModel, *inputs: Array) -> Network:
    """Return the family's network with its inputs embedded: (tokens, labels) or (noisy, time, labels)."""
    return (masked_network if isinstance(model, MaskedModel) else diffusion_network)(parameters, model, *inputs)


def loop_states(network: Network, loops: int) -> Array:
    """Return the states after 1 … L loops, [L, B, n, d]; fewer loops give a prefix."""

    def loop(x: Array, _: None) -> tuple[Array, Array]:
        x = network.block(x)
        return x, x

    return lax.scan(loop, network.state, length=loops)[1]


def forward(network: Network, loops: int | Array) -> Array:
    """Return the prediction after L loops; L may be traced."""
    return network.head(lax.fori_loop(0, loops, lambda _, x: network.block(x), network.state))


def frequencies(count: int) -> np.ndarray:
    """Return 10000^(−i / count)."""
    return np.exp(-math.log(10000) * np.arange(count) / count)


def positions(rows: int, columns: int, width: int) -> np.ndarray:
    """Return [T, d]: [sin, cos] of the column, then [sin, cos] of the row. NumPy makes it, because it is a constant."""
    row, column = np.divmod(np.arange(rows * columns), columns)
    angles = [place[:, None] * frequencies(width // 4) for place in (column, row)]
    return np.concatenate([wave(angle) for angle in angles for wave in (np.sin, np.cos)], axis=1)


def time_features(time: Array, width: int, scale: float) -> Array:
    """Return [cos, sin] of scale · t times the frequencies, [B, width]; `float` is the widest float enabled."""
    angles = time.astype(float)[:, None] * (scale * frequencies(width // 2))
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=1)


def patchify(samples: Array, size: int) -> Array:
    """[B, H, W, C] → [B, T, C · size²], each patch as (channel, row, column): the order of a convolution's weights."""
    batch, height, width, channels = samples.shape
    split = samples.reshape(batch, height // size, size, width // size, size, channels)
    return split.transpose(0, 1, 3, 5, 2, 4).reshape(batch, -1, size * size * channels)


def unpatchify(patches: Array, shape: tuple[int, int, int], size: int) -> Array:
    """[B, T, size² · C], each patch as (row, column, channel), unlike `patchify` → [B, H, W, C]."""
    height, width, channels = shape
    split = patches.reshape(-1, height // size, width // size, size, size, channels)
    return split.transpose(0, 1, 3, 2, 4, 5).reshape(-1, *shape)


# --------------------------------------------------------------------------------------------------- noise schedule


def log_snr_and_slope(time: Array, diffusion: Diffusion) -> tuple[Array, Array]:
    """Return λ(t) of the shifted cosine schedule, and dλ/dt.

    λ = −2 log tan(a), with a rising evenly from a₀ to a₁. The code has b = π/2 − a and 2 log(sin b / sin a), which
    loses no digits in float32 at either end.
    """
    t = time.astype(float)
    a0, b0 = math.atan(math.exp(-diffusion.log_snr_max / 2)), math.atan(math.exp(diffusion.log_snr_min / 2))
    span = math.pi / 2 - b0 - a0
    sin_a, sin_b = jnp.sin(a0 + t * span), jnp.sin(b0 + (1 - t) * span)
    low = diffusion.shift
    high = low if diffusion.shift_at_noise is None else diffusion.shift_at_noise
    log_snr = 2 * (jnp.log(sin_b) - jnp.log(sin_a)) + t * high + (1 - t) * low
    return log_snr, -2 * span / (sin_a * sin_b) + (high - low)


def signal_and_noise(log_snr: Array, like: Array | None = None) -> tuple[Array, Array]:
    """Return α = √sigmoid(λ) and σ = √sigmoid(−λ), shaped and typed to multiply samples `like`."""
    pair = jnp.exp(jax.nn.log_sigmoid(log_snr) / 2), jnp.exp(jax.nn.log_sigmoid(-log_snr) / 2)
    if like is None:
        return pair
    alpha, sigma = (value.astype(like.dtype).reshape(-1, *[1] * (like.ndim - 1)) for value in pair)
    return alpha, sigma


def add_noise(clean: Array, noise: Array, log_snr: Array) -> Array:
    """Return z = α x + σ ε."""
    alpha, sigma = signal_and_noise(log_snr, clean)
    return alpha * clean + sigma * noise


def prediction_target(kind: str, clean: Array, noise: Array, log_snr: Array) -> Array:
    """Return the prediction's target: x, ε or v = α ε − σ x."""
    alpha, sigma = signal_and_noise(log_snr, clean)
    return {"x0": clean, "epsilon": noise, "v": alpha * noise - sigma * clean}[kind]


def to_clean(kind: str, prediction: Array, noisy: Array, log_snr: Array) -> Array:
    """Convert a prediction to x0: itself, (z − σ ε) / α, or α z − σ v."""
    alpha, sigma = signal_and_noise(log_snr, noisy)
    if kind == "x0":
        return prediction
    return (noisy - sigma * prediction) / alpha if kind == "epsilon" else alpha * noisy - sigma * prediction


def loss_weight(time: Array, diffusion: Diffusion) -> Array:
    """Return w(t) = (−dλ/dt) e^b sigmoid(λ − b) for x0, or its equivalent for ε or v."""
    snr, slope = log_snr_and_slope(time, diffusion)
    log_sigmoid, b = jax.nn.log_sigmoid, diffusion.bias
    log_weight = {
        "x0": b + log_sigmoid(snr - b),
        "epsilon": log_sigmoid(b - snr),
        "v": b + log_sigmoid(snr - b) + log_sigmoid(-snr),
    }[diffusion.prediction]
    return jnp.exp(log_weight) * (-slope if diffusion.weight_derivative else 1)


# -------------------------------------------------------------------------------------------------------- objective


def ilsd_loss(
    network: Network,
    max_loops: int,
    student_loops: Array | int | None,
    truth_weight: Array | float,
    ground_truth: Callable[[Array], Array],
    distillation: Callable[[Array, Array], Array],
) -> tuple[Array, dict[str, Array]]:
    """E5: return the loss and its terms. One pass serves both: the teacher passes through the student's state.

    L_int may be traced: the backward pass needs all states anyway, and the student's is one of them.
    """
    states = loop_states(network, max_loops)
    teacher = network.head(states[-1])
    teacher_truth = ground_truth(teacher)
    if student_loops is None:
        return teacher_truth, {"teacher_truth": teacher_truth}
    student = network.head(states[student_loops - 1])
    student_truth = ground_truth(student)
    distilled = distillation(student, lax.stop_gradient(teacher))
    total = teacher_truth + truth_weight * student_truth + (1 - truth_weight) * distilled
    return total, {"teacher_truth": teacher_truth, "student_truth": student_truth, "distillation": distilled}


def masked_loss(
    parameters: Tree,
    model: MaskedModel,
    tokens: Array,
    mask: Array,
    labels: Array,
    student_loops: Array | int | None,
    truth_weight: Array | float,
    objective: Objective,
    rematerialise: bool = False,
) -> tuple[Array, dict[str, Array]]:
    """E5 with E7 and E8: cross-entropy with truth and teacher over the masked tokens. tokens, mask [B, T]."""
    network = masked_network(parameters, model, jnp.where(mask, model.mask_token, tokens), labels)
    dtype, smoothing = network.state.dtype, objective.label_smoothing
    weights = mask.astype(dtype) / len(mask)
    if objective.reduction == "mean_per_sample":
        weights /= jnp.maximum(1, mask.sum(1, keepdims=True)).astype(dtype)
    truth = (1 - smoothing) * jax.nn.one_hot(tokens, model.codebook_size, dtype=dtype) + smoothing / model.codebook_size

    def cross_entropy(logits: Array, targets: Array) -> Array:
        return -(weights * (targets * jax.nn.log_softmax(logits)).sum(-1)).sum()

    return ilsd_loss(
        remember_less(network) if rematerialise else network,
        model.max_loops,
        student_loops,
        truth_weight,
        lambda logits: cross_entropy(logits, truth),
        lambda student, teacher: cross_entropy(student, jax.nn.softmax(teacher)),
    )


def diffusion_loss(
    parameters: Tree,
    model: DiffusionModel,
    diffusion: Diffusion,
    clean: Array,
    noise: Array,
    time: Array,
    labels: Array,
    student_loops: Array | int | None,
    truth_weight: Array | float,
    objective: Objective,
    rematerialise: bool = False,
) -> tuple[Array, dict[str, Array]]:
    """E5 with E9 and E10: weighted squared errors at one t and noise. clean, noise [B, H, W, C], time [B]."""
    snr, _ = log_snr_and_slope(time, diffusion)
    network = diffusion_network(parameters, model, add_noise(clean, noise, snr), time, labels)
    target = prediction_target(diffusion.prediction, clean, noise, snr)
    weights = loss_weight(time, diffusion).astype(clean.dtype) / len(clean)
    if objective.reduction == "mean_per_sample":
        weights /= clean[0].size

    def squared_error(prediction: Array, target: Array) -> Array:
        return weights @ jnp.square(prediction - target).sum((1, 2, 3))

    return ilsd_loss(
        remember_less(network) if rematerialise else network,
        model.max_loops,
        student_loops,
        truth_weight,
        lambda prediction: squared_error(prediction, target),
        squared_error,
    )


def remember_less(network: Network) -> Network:
    """Keep one state a loop, and evaluate the block again in the backward pass."""
    return network._replace(block=jax.checkpoint(network.block))


def truth_weight_at(step: Array, steps: int) -> Array:
    """Return the truth weight λ: 1 at the first step, 0 at the last."""
    return jnp.clip(1 - step / max(1, steps - 1), 0, 1)


def draw_student_loops(key: Array, min_loops: int, max_loops: int) -> Array:
    """E6: draw L_int from {L_min, …, L_max − 1}; one for the whole batch."""
    return jax.random.randint(key, (), min_loops, max_loops)


def lowest(scores: Array, count: Array) -> Array:
    """Mark the `count` [B] lowest scores of each row [B, T]; among equal scores the first, as the sorts are stable."""
    return scores.argsort(axis=1).argsort(axis=1) < count[:, None]


def mask_tokens(ratio: Array, order: Array) -> Array:
    """Return the mask [B, T]: the max(1, ⌊T cos(πr/2)⌋) lowest of `order` [B, T], for ratio r [B]."""
    fraction = jnp.clip(jnp.cos(math.pi / 2 * ratio), 1e-6, 1)
    return lowest(order, jnp.maximum(1, jnp.floor(order.shape[1] * fraction).astype(int)))


def drop_labels(labels: Array, draws: Array, rate: float, classes: int) -> Array:
    """Replace a label of [B] by "no class" if its draw is below the rate."""
    return jnp.where(draws < rate, classes, labels.astype(int))


# --------------------------------------------------------------------------------------------------------- training


class State(NamedTuple):
    """Everything that a training step changes. The trees have their names in the checkpoint."""

    step: Array | int
    parameters: Tree
    first_moment: Tree
    second_moment: Tree
    average: Tree


def init_state(parameters: Tree) -> State:
    """Return the state before the first step."""
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    return State(0, parameters, zeros, zeros, parameters)


def batch_loss(parameters: Tree, batch: Mapping[str, Array], weight: Array, config: Config) -> tuple[Array, Tree]:
    """Return the configured objective; the batch has ``examples``, ``labels`` and the draws that corrupt them."""
    model, objective, remat = config.model, config.objective, config.training.rematerialise
    student = None if objective.kind == "vanilla" else batch["student_loops"]
    labels = drop_labels(batch["labels"], batch["label_drop"], objective.label_drop_rate, model.classes)
    examples = batch["examples"]
    if isinstance(model, MaskedModel):
        mask = mask_tokens(batch["mask_ratio"], batch["mask_order"])
        return masked_loss(parameters, model, examples, mask, labels, student, weight, objective, remat)
    noise, time = batch["noise"], batch["time"]
    return diffusion_loss(
        parameters, model, config.diffusion, examples, noise, time, labels, student, weight, objective, remat
    )


PROCESSES = "processes"
"""Name of the axis along which processes share a batch, under `jax.vmap`, `jax.pmap` or `jax.shard_map`."""


def train_step(
    config: Config, state: State, batch: Mapping[str, Array], *, across: str | None = None
) -> tuple[State, Array]:
    """Return the state after one step, and the loss; `across` names the axis along which processes share the batch."""
    training, step = config.training, jnp.asarray(state.step)
    weight = truth_weight_at(step, training.steps).astype(training.dtype)
    value_and_grad = jax.value_and_grad(batch_loss, has_aux=True)
    (loss, _), gradient = value_and_grad(state.parameters, batch, weight, config)
    if across is not None:
        loss, gradient = lax.pmean((loss, gradient), across)  # the shares are equal, so this is the batch's mean
    gradient, _ = clip_gradient(gradient, training.gradient_clip)
    parameters, first, second = adamw(
        state.parameters, gradient, state.first_moment, state.second_moment, step, training
    )
    average = moving_average(state.average, parameters, training.average_decay)
    return State(step + 1, parameters, first, second, average), loss


@partial(jax.jit, static_argnames="config")
def train_steps(state: State, batches: Mapping[str, Array], *, config: Config) -> tuple[State, Array]:
    """Return the state after S steps, and the losses [S]; every array in `batches` has S as its first axis."""
    return lax.scan(partial(train_step, config), state, batches)


@partial(jax.jit, static_argnames="config")
def train_steps_across(state: State, batches: Mapping[str, Array], *, config: Config) -> tuple[State, Array]:
    """Do `train_steps` with batches [S, processes, B / processes, …]; only ``student_loops`` is [S].

    Every process has the whole state. Here one device maps the axis; on many devices, shard it.
    """
    mapped = {name: None if name == "student_loops" else 0 for name in batches}

    def step(state: State, batch: Mapping[str, Array]) -> tuple[State, Array]:
        one = partial(train_step, config, across=PROCESSES)
        ends = jax.vmap(one, in_axes=(None, mapped), axis_name=PROCESSES)(state, batch)
        return jax.tree.map(lambda leaf: leaf[0], ends)  # all processes end with the same state

    return lax.scan(step, state, batches)


@partial(jax.jit, static_argnames="training")
def adamw(
    parameters: Tree, gradient: Tree, first: Tree, second: Tree, step: Array | int, training: Training
) -> tuple[Tree, Tree, Tree]:
    """Return parameters and moments after a step: bias correction, ε outside the root, decay of kernels only."""
    step = jnp.asarray(step)
    rate = learning_rate_at(step, training)

    def correction(beta: float) -> Array:  # 1 − βᵗ; a subtraction in float32 would lose digits
        return -jnp.expm1((step + 1) * (math.log(beta) if beta else -math.inf))

    def update(path: Any, theta: Array, g: Array, m: Array, v: Array) -> tuple[Array, Array, Array]:
        m = training.beta1 * m + (1 - training.beta1) * g
        v = training.beta2 * v + (1 - training.beta2) * g * g
        m_hat = m / correction(training.beta1).astype(m.dtype)
        v_hat = v / correction(training.beta2).astype(v.dtype)
        change = m_hat / (jnp.sqrt(v_hat) + training.epsilon)
        if dotted(path).endswith(".weight"):
            change += training.weight_decay * theta
        return theta - rate.astype(theta.dtype) * change, m, v

    updated = jax.tree.map_with_path(update, parameters, gradient, first, second)
    return jax.tree.transpose(jax.tree.structure(parameters), jax.tree.structure((0, 0, 0)), updated)


def learning_rate_at(step: Array, training: Training) -> Array:
    """Return η: a linear warm-up, then constant, or a cosine that would reach zero one step after the last."""
    warmup, steps = training.warmup_steps, training.steps
    rate = training.learning_rate * jnp.ones_like(step, float)
    if training.schedule == "cosine":  # ½ (1 + cos πw) = sin² (π/2 (1 − w)), exact up to the end, w = 1
        rate *= jnp.square(jnp.sin(math.pi / 2 * jnp.clip((steps - step) / max(1, steps - warmup), 0, 1)))
    return jnp.where(step < warmup, training.learning_rate * (step + 1) / max(1, warmup), rate)


@jax.jit
def clip_gradient(gradient: Tree, largest: Array | float) -> tuple[Tree, Array]:
    """Return the gradient with a global norm of at most `largest`, and the norm it had."""
    norm = jnp.sqrt(sum(jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(gradient)))
    scale = jnp.where(norm > largest, largest / norm, 1)
    return jax.tree.map(lambda leaf: leaf * scale, gradient), norm


@jax.jit
def moving_average(average: Tree, parameters: Tree, decay: Array | float) -> Tree:
    """Return decay · average + (1 − decay) · parameters."""
    return jax.tree.map(lambda mean, theta: decay * mean + (1 - decay) * theta, average, parameters)


# --------------------------------------------------------------------------------------------------------- sampling


def guidance_scales(scale: float, steps: int, schedule: str) -> np.ndarray:
    """Return s_k [K]: constant, or a ramp from 1 (conditional) to s."""
    way = np.arange(steps) / max(1, steps - 1) if schedule == "ramp" else np.ones(steps)
    return 1 + (scale - 1) * way


def guide(conditional: Array, unconditional: Array, scale: Array | float) -> Array:
    """Return u + s (c − u)."""
    return unconditional + jnp.asarray(scale, conditional.dtype) * (conditional - unconditional)


def predict(
    parameters: Tree, model: Any, inputs: tuple[Array, ...], labels: Array, loops: Array, scale: Array | None
) -> Array:
    """Return the prediction after L loops, guided with both branches in one batch unless the scale is None."""
    if scale is None:
        return forward(open_network(parameters, model, *inputs, labels), loops)
    twice = [jnp.concatenate([array, array]) for array in inputs]
    labels = jnp.concatenate([labels, jnp.full_like(labels, model.classes)])
    return guide(*jnp.split(forward(open_network(parameters, model, *twice, labels), loops), 2), scale)


def scheduled_lengths(start: Array, steps: int, precision: str = "float64") -> Array:
    """Return ⌊start · γ((k + 1)/K)⌋ [K, B].

    NumPy computes γ, so that its precision does not depend on the device: at (k + 1)/K = 2/3 it decides between 128 and
    127 of 256.
    """
    ratio = (np.arange(1, steps + 1) / steps).astype(precision)
    gamma = np.clip(np.cos(ratio.dtype.type(math.pi / 2) * ratio), 1e-6, 1)
    return jnp.floor(jnp.asarray(gamma)[:, None] * start).astype(int)


def still_masked(unknown: Array, scheduled: Array) -> Array:
    """Return how many of `unknown` [B] stay masked: as scheduled, within 1 … unknown − 1; 0 and 1 stay as they are."""
    return jnp.minimum(jnp.maximum(1, jnp.minimum(unknown - 1, scheduled)), unknown)


def mask_lengths(start: Array, steps: int) -> Array:
    """Return how many tokens stay masked after each step, [K, B]."""

    def step(unknown: Array, scheduled: Array) -> tuple[Array, Array]:
        left = still_masked(unknown, scheduled)
        return left, left

    return lax.scan(step, start, scheduled_lengths(start, steps).astype(start.dtype))[1]


def decode_step(
    logits: Array,
    tokens: Array,
    token_noise: Array,
    confidence_noise: Array,
    scheduled: Array,
    left: Array | float,
    mask_token: int,
    sampling: Sampling,
) -> tuple[Array, Array]:
    """E1: return the next tokens, some masked again, and the answer without masks. `left` is 1 − (k + 1)/K."""
    left = jnp.asarray(left, logits.dtype)
    temperature = 0.5 + 0.8 * left if sampling.sampling_temperature == "elt" else 1
    unknown = tokens == mask_token
    drawn = (logits / temperature + token_noise).argmax(-1)  # Gumbel-max: a draw from the softmax
    answer = jnp.where(unknown, drawn.astype(tokens.dtype), tokens)
    # Confidence comes from the untempered prediction; known tokens have infinite confidence.
    confidence = jnp.take_along_axis(jax.nn.log_softmax(logits), drawn[..., None], axis=-1)[..., 0]
    confidence += sampling.choice_temperature * left * confidence_noise
    confidence = jnp.where(unknown, confidence, jnp.inf)
    again = lowest(confidence, still_masked(unknown.sum(1), scheduled))
    return jnp.where(again, mask_token, answer), answer


@partial(jax.jit, static_argnames=("model", "sampling"))
def masked_sample(
    parameters: Tree,
    tokens: Array,
    labels: Array,
    token_noise: Array,
    confidence_noise: Array,
    loops: Array,
    *,
    model: MaskedModel,
    sampling: Sampling,
) -> Array:
    """Return tokens [B, T] after K steps; token_noise [K, B, T, V], confidence_noise [K, B, T], loops [K]."""
    steps = len(loops)
    scales = guidance_scales(sampling.guidance_scale, steps, sampling.guidance_schedule)
    guided = bool((scales != 1).any())

    def step(carry: tuple[Array, Array], now: tuple[Array, ...]) -> tuple[tuple[Array, Array], None]:
        running, _ = carry
        loops, scale, *rest = now
        logits = predict(parameters, model, (running,), labels, loops, scale if guided else None)
        return decode_step(logits, running, *rest, mask_token=model.mask_token, sampling=sampling), None

    start = (tokens == model.mask_token).sum(1)
    scheduled = scheduled_lengths(start, steps, sampling.schedule_precision)
    left = 1 - np.arange(1, steps + 1) / steps
    (_, answer), _ = lax.scan(step, (tokens, tokens), (loops, scales, token_noise, confidence_noise, scheduled, left))
    return answer


def step_coefficients(snr_t: Array, snr_s: Array, last: Array | bool, diffusion: Diffusion) -> Array:
    """E2, X_s = α₁ X_t + α₂ x̂ + α₃ z: return (α₁, α₂, α₃), stacked, for λ_t < λ_s. The last step is (0, 1, 0)."""
    (alpha_t, sigma_t), (alpha_s, sigma_s) = signal_and_noise(snr_t), signal_and_noise(snr_s)
    if diffusion.sampler == "ddim":  # α_s x̂ + σ_s ε̂ with ε̂ = (z − α_t x̂) / σ_t
        keep = sigma_s / sigma_t
        coefficients = keep, alpha_s - alpha_t * keep, jnp.zeros_like(keep)
    else:
        share = -jnp.expm1(snr_t - snr_s)
        fraction = {"small": 0.0, "large": 1.0}.get(diffusion.variance, diffusion.variance_fraction)
        deviation = jnp.sqrt(share) * sigma_s ** (1 - fraction) * sigma_t**fraction
        coefficients = alpha_s / alpha_t * (1 - share), alpha_s * share, deviation
    end = jnp.reshape(jnp.array([0.0, 1.0, 0.0]), (3, *[1] * jnp.ndim(snr_t)))
    return jnp.where(last, end, jnp.stack(coefficients))


def denoise_step(noisy: Array, clean: Array, noise: Array, coefficients: Array, clip: float | None) -> Array:
    """E2: return the sample at the next time, from the guided prediction x̂ (`clean`)."""
    keep, take, stir = coefficients.astype(noisy.dtype)
    clean = clean if clip is None else jnp.clip(clean, -clip, clip)
    return keep * noisy + take * clean + stir * noise


@partial(jax.jit, static_argnames=("model", "diffusion", "sampling"))
def diffusion_sample(
    parameters: Tree,
    labels: Array,
    initial_noise: Array,
    step_noise: Array,
    loops: Array,
    *,
    model: DiffusionModel,
    diffusion: Diffusion,
    sampling: Sampling,
) -> Array:
    """Return samples [B, H, W, C] after K steps; step_noise [K, B, H, W, C], loops [K]."""
    steps = len(loops)
    scales = guidance_scales(sampling.guidance_scale, steps, sampling.guidance_schedule)
    guided = bool((scales != 1).any())
    times = jnp.linspace(1, 0, steps + 1)
    snr, _ = log_snr_and_slope(times, diffusion)
    last = np.arange(steps) == steps - 1
    coefficients = step_coefficients(snr[:-1], snr[1:], last, diffusion).T  # [K, 3]

    def step(noisy: Array, now: tuple[Array, ...]) -> tuple[Array, None]:
        time, snr, loops, scale, coefficients, noise = now
        time, snr = jnp.full(len(labels), time), jnp.full(len(labels), snr)
        prediction = predict(parameters, model, (noisy, time), labels, loops, scale if guided else None)
        clean = to_clean(diffusion.prediction, prediction, noisy, snr)
        return denoise_step(noisy, clean, noise, coefficients, diffusion.clip), None

    return lax.scan(step, initial_noise, (times[:-1], snr[:-1], loops, scales, coefficients, step_noise))[0]


# ------------------------------------------------------------------------------------------------------------- clips


def encode_clips(clips: Array, codebook: Array, patch_frames: int, patch_size: int) -> Array:
    """[B, F, H, W, C] → [B, T], the code nearest to each tubelet, time slowest and columns fastest."""
    batch, frames, height, width, channels = clips.shape
    size, grid = patch_size, (frames // patch_frames, height // patch_size, width // patch_size)
    split = clips.reshape(batch, grid[0], patch_frames, grid[1], size, grid[2], size, channels)
    tubelets = split.transpose(0, 1, 3, 5, 2, 4, 6, 7).reshape(batch, -1, codebook.shape[1])
    return jnp.square(tubelets[:, :, None] - codebook).sum(axis=-1).argmin(axis=-1)


def decode_clips(tokens: Array, codebook: Array, grid: Sequence[int], patch_frames: int, patch_size: int) -> Array:
    """[B, T] → [B, F, H, W, C], each token's code as a tubelet."""
    batch, (times, rows, columns), size = len(tokens), grid, patch_size
    channels = codebook.shape[1] // (patch_frames * size**2)
    values = codebook[tokens].reshape(batch, times, rows, columns, patch_frames, size, size, channels)
    shape = batch, times * patch_frames, rows * size, columns * size, channels
    return values.transpose(0, 1, 4, 2, 5, 3, 6, 7).reshape(shape)


def given_frames(tokens: Array, frames: Array, grid: Sequence[int], mask_token: int) -> Array:
    """Keep a token of [B, T] if all frames of its tubelet are known (`frames` [F]); put the mask elsewhere."""
    known = jnp.repeat(frames.reshape(grid[0], -1).all(axis=1), grid[1] * grid[2])
    return jnp.where(known, tokens, mask_token)


# --------------------------------------------------------------------------------------------- counting and measures


def count(model: MaskedModel | DiffusionModel, loops: int) -> dict[str, int]:
    """Return the looped parameters, all parameters, and the looped multiply-adds of a forward pass."""
    shapes = flatten(jax.eval_shape(partial(init_parameters, model=model), jax.random.key(0)))
    n, d = model.tokens + isinstance(model, MaskedModel), model.width
    layer = n * (4 * d * d + 2 * d * model.mlp_width) + 2 * n * n * d
    return {
        "looped_parameters": sum(leaf.size for name, leaf in shapes.items() if name.startswith("block.")),
        "total_parameters": sum(leaf.size for leaf in shapes.values()),
        "looped_macs": model.layers * loops * layer,
    }


def frechet_distance(features: Array, others: Array) -> Array:
    """Return ‖μ₁ − μ₂‖² + Tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½); features [n, f], [m, f].

    Tr (Σ₁ Σ₂)^½ is the sum of the singular values of Σ₁^½ Σ₂^½.
    """

    def gaussian(x: Array) -> tuple[Array, Array]:
        centred = x - x.mean(0)
        return x.mean(0), centred.T @ centred / (len(x) - 1)

    (mean1, covariance1), (mean2, covariance2) = gaussian(features), gaussian(others)

    def root(covariance: Array) -> Array:  # eigenvalues that are zero but for rounding are zero
        values, vectors = jnp.linalg.eigh(covariance)
        least = len(values) * jnp.finfo(values.dtype).eps * values.max()
        return (vectors * jnp.sqrt(jnp.where(values > least, values, 0))) @ vectors.T

    roots = jnp.linalg.svd(root(covariance1) @ root(covariance2), compute_uv=False)
    spread = jnp.trace(covariance1) + jnp.trace(covariance2) - 2 * roots.sum()
    return jnp.square(mean1 - mean2).sum() + jnp.maximum(spread, 0)


def inception_score(logits: Array, splits: int) -> Array:
    """Return exp E KL(p(y|x) ‖ p(y)), averaged over splits of neighbouring samples; logits [n, classes]."""

    def score(log_given: Array) -> Array:
        given = jnp.exp(log_given)
        average = jnp.maximum(given.mean(0), jnp.finfo(given.dtype).tiny)
        return jnp.exp((given * (log_given - jnp.log(average))).sum(1).mean())

    edges = [i * len(logits) // splits for i in range(1, splits)]
    return jnp.stack([score(part) for part in jnp.split(jax.nn.log_softmax(logits), edges)]).mean()


# ------------------------------------------------------------------------------------------------------ checkpoints


def save_checkpoint(path: Path, state: State, *, seed: int, family: str) -> None:
    """Write a checkpoint that elt_ref reads: four trees, and the keys of its random streams at this seed."""
    tensors = flatten({name: tree for name, tree in state._asdict().items() if name != "step"})
    draws = ("mask_ratio", "mask_order") if family == "masked" else ("time", "noise")
    digests = {
        name: hashlib.sha256(f"{seed}/{name}".encode()).digest()[:16]
        for name in ("order", *draws, "label_drop", "student_loops")
    }
    streams = {
        name: {"generator": "Philox", "key": np.frombuffer(key, "<u8").tolist(), "counter": "[0, 0, 0, step]"}
        for name, key in digests.items()
    }
    metadata = {"format": "elt_ref checkpoint 1", "step": int(state.step), "seed": seed, "streams": streams}
    arrays = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}  # safetensors writes raw memory
    save_file(
        {name: np.ascontiguousarray(each) for name, each in arrays.items()},
        path,
        metadata={"elt_ref": json.dumps(metadata, sort_keys=True)},
    )


def load_checkpoint(path: Path) -> tuple[State, dict[str, Any]]:
    """Return the state and the metadata of an elt_ref checkpoint. Arrays stay NumPy's until JAX uses them."""
    with safe_open(path, "np") as file:
        metadata = json.loads(file.metadata()["elt_ref"])
        if "idea" in metadata:
            raise ValueError(f"{path}: expected a checkpoint of the paper's network, got one trained with an idea")
        trees = unflatten({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118  not a mapping
    return State(metadata["step"], **trees), metadata


# --------------------------------------------------------------------------------------------------- a training run


def seed_key(seed: int) -> Array:
    """Return the key of a seed in 0 … 2⁶⁴ − 1: both halves count, even if integers have 32 bits."""
    return jax.random.fold_in(jax.random.key(np.uint32(seed % 2**32)), np.uint32(seed // 2**32))


def step_keys(key: Array, step: Array | int) -> dict[str, Array]:
    """Return a key for every draw of a training step; a step's keys depend on no other step."""
    names = ("mask_ratio", "mask_order", "time", "noise", "label_drop", "student_loops")
    return dict(zip(names, jax.random.split(jax.random.fold_in(key, step), len(names)), strict=True))


def draw(key: Array, step: Array | int, config: Config) -> dict[str, Array]:
    """Return a training step's draws."""
    model, objective, dtype = config.model, config.objective, config.training.dtype
    keys, batch = step_keys(key, step), config.training.batch_size

    def uniform(name: str, per: str = "sample") -> Array:
        shape = (batch,) if per == "sample" else (1,)
        return jnp.broadcast_to(jax.random.uniform(keys[name], shape, dtype), (batch,))

    draws = {"label_drop": uniform("label_drop", objective.label_drop_per)}
    if objective.kind == "ilsd":
        draws["student_loops"] = draw_student_loops(keys["student_loops"], objective.min_loops, model.max_loops)
    if isinstance(model, MaskedModel):
        order = jax.random.uniform(keys["mask_order"], (batch, model.tokens), dtype)
        return draws | {"mask_ratio": uniform("mask_ratio", objective.mask_ratio_per), "mask_order": order}
    noise = jax.random.normal(keys["noise"], (batch, *model.shape), dtype)
    return draws | {"time": uniform("time"), "noise": noise}


def read_config(document: Mapping[str, Any]) -> Config:
    """Return a TOML document's configuration, as elt_ref reads it."""
    diffusion = dict(document.get("diffusion", {}))
    biases = {"sid2_default_b0": 0.0, "vdmpp_b2": 2.0}
    if isinstance(bias := diffusion.get("bias"), str):
        diffusion["bias"] = biases[bias]
    for name in ("shift", "shift_at_noise"):
        if isinstance(shift := diffusion.get(name), str):  # noise resolution / image resolution, or none
            found = re.fullmatch(r"(\d+)/(\d+)", shift)
            diffusion[name] = 2 * math.log(int(found[1]) / int(found[2])) if found else 0.0
    return Config(
        read_model(document["model"]),
        read_section(Diffusion, diffusion) if diffusion else None,
        read_section(Objective, document.get("objective", {})),
        read_section(Training, document.get("training", {})),
    )


def read_examples(path: Path, dtype: str, scale: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Return tokens [count, T], or latents [count, H, W, C] times the scale, and labels [count]."""
    with safe_open(path, "np") as file:
        labels = file.get_tensor("labels")
        if "tokens" in file.keys():  # noqa: SIM118  not a mapping
            return file.get_tensor("tokens").reshape(len(labels), -1), labels
        scale = float(file.metadata()["scale"]) if scale is None else scale
        return (scale * file.get_tensor("latents")).astype(dtype), labels


def main() -> None:
    """Train on all examples of a file and write a checkpoint."""
    parser = argparse.ArgumentParser(description="Train an Elastic Looped Transformer.")
    parser.add_argument("config", type=Path, help="a configuration of elt_ref, in TOML")
    parser.add_argument("examples", type=Path, help="safetensors: tokens or latents, and labels (docs/data.md)")
    parser.add_argument("checkpoint", type=Path, help="safetensors, written at the end")
    parser.add_argument("--scale", type=float, help="factor of the latents; default: the file's")
    given = parser.parse_args()
    document = tomllib.loads(given.config.read_text(encoding="utf-8"))
    config, seed = read_config(document), document.get("seed", 0)
    training = config.training
    jax.config.update("jax_enable_x64", training.dtype == "float64")
    examples, labels = read_examples(given.examples, training.dtype, given.scale)
    init_key, draw_key = jax.random.split(seed_key(seed))
    order = np.random.default_rng(seed)

    @jax.jit
    def step(state: State, examples: Array, labels: Array) -> tuple[State, Array]:
        batch = {"examples": examples, "labels": labels, **draw(draw_key, state.step, config)}
        return train_step(config, state, batch)

    state = init_state(init_parameters(init_key, config.model, training.dtype))
    chosen = np.empty(0, int)
    for number in range(1, training.steps + 1):
        while len(chosen) < training.batch_size:  # epoch after epoch, each in its own order
            chosen = np.concatenate([chosen, order.permutation(len(labels))])
        now, chosen = np.split(chosen, [training.batch_size])
        state, loss = step(state, examples[now], labels[now])
        if number == training.steps or number % 100 == 0:
            sys.stdout.write(f"step {number}  loss {loss:.4f}\n")
    family = "masked" if isinstance(config.model, MaskedModel) else "diffusion"
    save_checkpoint(given.checkpoint, state, seed=seed, family=family)


if __name__ == "__main__":
    main()
