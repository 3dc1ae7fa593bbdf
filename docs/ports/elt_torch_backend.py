"""The adapter of `elt_torch` for elt_ref's judge: every operation, with NumPy arrays in and out.

elt-ref conform run elt_ref.ports.elt_torch_backend:Backend
"""

import functools
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  everyone's name for it
from elt_torch import (
    AdaLNZeroLayer,
    Losses,
    PostNormLayer,
    Settings,
    Trainer,
    adamw,
    add_noise,
    build,
    clip_gradient,
    count,
    decode_clips,
    decode_step,
    denoise_step,
    diffusion_losses,
    diffusion_sample,
    draw_student_loops,
    drift_field,
    drifting_losses,
    drop_labels,
    dump_parameters,
    encode_clips,
    frechet_distance,
    given_frames,
    guidance_scale_at,
    guide,
    inception_score,
    learning_rate_at,
    load_parameters,
    log_snr,
    loss_weight,
    mask_tokens,
    masked_length,
    masked_losses,
    masked_sample,
    moving_average,
    optimizer_step,
    parameters_by_name,
    patchify,
    prediction_target,
    reference_layout,
    set_moments,
    sine_cosine_positions,
    time_features,
    time_grid,
    to_clean,
    truth_weight_at,
    unpatchify,
)
from torch import Tensor, nn


@dataclass(frozen=True)
class Description:
    """The backend's description of itself; the judge reads it first."""

    name: str
    version: str
    operations: tuple[str, ...]
    dtypes: tuple[str, ...] = ("float64", "float32")
    choices: Mapping[str, str] = field(default_factory=lambda: {"sampling.schedule_precision": "float64"})


def operation(function: Callable[..., Any], *names: str) -> Callable[..., dict[str, np.ndarray]]:
    """Wrap a function of tensors as a method of arrays. `names` name its results, unless it returns a dict.

    The answer's floats have the dtype of the question's floats, or float64 if it has none: schedules work in float64.
    """

    @functools.wraps(function)
    def method(_self: "Backend", **asked: Any) -> dict[str, np.ndarray]:
        given = {name: to_torch(value) for name, value in asked.items()}
        result = function(**given)
        if names:
            result = dict(zip(names, result if isinstance(result, tuple) else (result,), strict=True))
        leaves = [
            leaf for value in given.values() for leaf in (value.values() if isinstance(value, dict) else (value,))
        ]
        dtypes = (leaf.dtype for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point())
        dtype = next(dtypes, torch.float64)
        return {name: to_numpy(value, dtype) for name, value in result.items()}

    return method


def to_torch(value: Any) -> Any:
    """Copy an array into a tensor, a dict of arrays into a dict of tensors; wrap a section in `Settings`."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.array(value, order="C"))
    if not isinstance(value, Mapping):
        return value
    values = {name: to_torch(entry) for name, entry in value.items()}
    return values if all(isinstance(entry, Tensor) for entry in values.values()) else Settings(**values)


def to_numpy(value: Any, dtype: torch.dtype) -> np.ndarray:
    """Return an array; floats get this dtype."""
    tensor = torch.as_tensor(value, dtype=torch.float64 if isinstance(value, list) else None).detach()
    return (tensor.to(dtype) if tensor.is_floating_point() else tensor).contiguous().numpy()


def loaded(parameters: Mapping[str, Tensor], module: nn.Module) -> Any:
    """Load elt_ref's parameters into the module, in their dtype, and return it."""
    load_parameters(module.to(next(iter(parameters.values())).dtype), parameters)
    return module


def run_masked_layer(parameters: dict[str, Tensor], x: Tensor, heads: int, epsilon: float) -> Tensor:
    """Apply one layer outside any network."""
    return loaded(parameters, PostNormLayer(x.shape[-1], heads, len(parameters["mlp.up.bias"]), epsilon))(x)


def run_diffusion_layer(
    parameters: dict[str, Tensor], x: Tensor, conditioning: Tensor, heads: int, epsilon: float
) -> Tensor:
    """Apply one layer outside any network."""
    layer = loaded(parameters, AdaLNZeroLayer(x.shape[-1], heads, len(parameters["mlp.up.bias"]), epsilon))
    return layer(x, layer.modulation(F.silu(conditioning)))


def run_states(model: Settings, parameters: dict, loops: int, **inputs: Tensor) -> Tensor:
    """Return the states [L, B, n, d]."""
    network = loaded(parameters, build(model))
    x, block, _ = network.open(**inputs)
    return torch.stack(list(network.loop(block, x, loops)))


def run_layers(model: Settings, parameters: dict, loops: int, **inputs: Tensor) -> Tensor:
    """Return the state after each layer of each loop [L, N, B, n, d]; it shows where a wrong port departs first."""
    network = loaded(parameters, build(model))
    taps: list[Tensor] = []
    for layer in network.block:
        layer.register_forward_hook(lambda _layer, _inputs, state: taps.append(state))
    x, block, _ = network.open(**inputs)
    deque(network.loop(block, x, loops), maxlen=0)
    return torch.stack(taps).unflatten(0, (loops, len(network.block)))


def run_forward(model: Settings, parameters: dict, loops: int, **inputs: Tensor) -> Tensor:
    """Return the prediction after L loops."""
    return loaded(parameters, build(model))(**inputs, exits=[loops])[0]


def run_objective(losses: Callable[..., Losses], model: Settings, parameters: dict, **asked: Any) -> dict[str, Tensor]:
    """Return the objective's terms."""
    terms = losses(loaded(parameters, build(model)), model, **asked)
    return {name: term for name, term in terms._asdict().items() if term is not None}


def run_gradient(losses: Callable[..., Losses], model: Settings, parameters: dict, **asked: Any) -> dict[str, Tensor]:
    """Return the total's gradient, in elt_ref's layout."""
    network = loaded(parameters, build(model))
    losses(network, model, **asked).total.backward()
    return {name: reference_layout(name, p.grad) for name, p in parameters_by_name(network).items()}


def run_sample(sampler: Callable[..., Tensor], model: Settings, parameters: dict, **asked: Any) -> Tensor:
    """Draw samples."""
    return sampler(loaded(parameters, build(model)), model, **asked)


def run_mask_lengths(start: Tensor, steps: int) -> Tensor:
    """Return the lengths [K, B]; each step starts with the tokens that the previous step left masked."""
    lengths = [start]
    for step in range(steps):
        lengths.append(masked_length(start, lengths[-1], step, steps))
    return torch.stack(lengths[1:])


def run_optimizer_step(
    training: Settings, step: int, parameters: dict, gradient: dict, first: dict, second: dict
) -> dict[str, Tensor]:
    """Do one step in place; the arguments are copies already."""
    optimizer = adamw(parameters, training)
    for name, parameter in parameters.items():
        parameter.grad = gradient[name]
    set_moments(optimizer, step, ((parameters[name], first[name], second[name]) for name in parameters))
    optimizer_step(optimizer, step, training)
    return prefixed(parameters=parameters, first=first, second=second)


def run_clip_gradient(gradient: dict, largest: float) -> dict[str, Tensor]:
    """Clip in place."""
    norm = clip_gradient(list(gradient.values()), largest)
    return {**prefixed(gradient=gradient), "norm": norm}


def run_moving_average(average: dict, parameters: dict, decay: float) -> dict[str, Tensor]:
    """Average in place."""
    moving_average(average.values(), [parameters[name] for name in average], decay)
    return prefixed(average=average)


def run_training(
    examples: str, parameters: dict, labels: Tensor, student_loops: Tensor, **asked: Any
) -> dict[str, Tensor]:
    """Train on S batches. `examples` names the argument with the examples; the other tensors are draws."""
    config = Settings(**{name: value for name, value in asked.items() if isinstance(value, Settings)})
    draws = {name: value for name, value in asked.items() if isinstance(value, Tensor)}
    trainer = Trainer(loaded(parameters, build(config.model)), config)
    totals = []
    for step in range(len(labels)):
        batch = {name: tensor[step] for name, tensor in draws.items()}
        loops = int(student_loops[step]) if config.objective.kind == "ilsd" else None
        totals.append(trainer.train_step(batch.pop(examples), labels[step], batch, loops).total.detach())
    trees = prefixed(parameters=dump_parameters(trainer.model), average=dump_parameters(trainer.average))
    return {**trees, "total": torch.stack(totals)}


def prefixed(**trees: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Merge the trees into one, with each tree's name as a prefix."""
    return {f"{prefix}.{name}": tensor for prefix, tree in trees.items() for name, tensor in tree.items()}


class Backend:
    """The operations; elt_ref/conformance/backend.py describes their arguments and results."""

    masked_layer = operation(run_masked_layer, "x")
    diffusion_layer = operation(run_diffusion_layer, "x")
    positions = operation(sine_cosine_positions, "positions")
    time_features = operation(time_features, "features")
    patchify = operation(patchify, "patches")
    unpatchify = operation(unpatchify, "samples")
    masked_states = operation(run_states, "states")
    masked_forward = operation(run_forward, "logits")
    diffusion_states = operation(run_states, "states")
    diffusion_forward = operation(run_forward, "prediction")
    drifting_states = operation(run_states, "states")
    drifting_forward = operation(run_forward, "samples")
    masked_layers = operation(run_layers, "layers")
    diffusion_layers = operation(run_layers, "layers")
    masked_objective = operation(partial(run_objective, masked_losses))
    masked_gradient = operation(partial(run_gradient, masked_losses))
    diffusion_objective = operation(partial(run_objective, diffusion_losses))
    diffusion_gradient = operation(partial(run_gradient, diffusion_losses))
    drift_field = operation(drift_field, "field", "scale")
    drifting_objective = operation(partial(run_objective, drifting_losses))
    drifting_gradient = operation(partial(run_gradient, drifting_losses))
    truth_weights = operation(lambda steps: [truth_weight_at(k, steps) for k in range(steps)], "weights")
    student_draws = operation(
        lambda count, **asked: torch.tensor([draw_student_loops(step=k, **asked) for k in range(count)]), "loops"
    )
    mask_tokens = operation(mask_tokens, "mask")
    drop_labels = operation(drop_labels, "labels")
    log_snr = operation(log_snr, "log_snr", "derivative")
    loss_weight = operation(loss_weight, "weight")
    add_noise = operation(add_noise, "noisy")
    prediction_target = operation(prediction_target, "target")
    to_clean = operation(to_clean, "clean")
    denoise_step = operation(denoise_step, "noisy")
    time_grid = operation(time_grid, "times")
    mask_lengths = operation(run_mask_lengths, "lengths")
    decode_step = operation(decode_step, "tokens", "answer")
    guide = operation(guide, "guided")
    guidance_scales = operation(
        lambda steps, **asked: [guidance_scale_at(k, steps, **asked) for k in range(steps)], "scales"
    )
    masked_sample = operation(partial(run_sample, masked_sample), "tokens")
    diffusion_sample = operation(partial(run_sample, diffusion_sample), "samples")
    encode_clips = operation(encode_clips, "tokens")
    decode_clips = operation(decode_clips, "clips")
    given_frames = operation(given_frames, "tokens")
    optimizer_step = operation(run_optimizer_step)
    clip_gradient = operation(run_clip_gradient)
    learning_rates = operation(lambda training: [learning_rate_at(k, training) for k in range(training.steps)], "rates")
    moving_average = operation(run_moving_average)
    masked_training = operation(partial(run_training, "tokens"))
    diffusion_training = operation(partial(run_training, "clean"))
    count = operation(count, "looped_parameters", "total_parameters", "looped_macs")
    frechet_distance = operation(frechet_distance, "distance")
    inception_score = operation(inception_score, "score")

    def describe(self) -> Description:
        """Return the description: everything above is an operation."""
        names = tuple(name for name in vars(Backend) if name != "describe" and not name.startswith("_"))
        return Description("elt_torch", torch.__version__, names)
