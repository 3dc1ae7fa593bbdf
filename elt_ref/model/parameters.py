"""The parameters: their names, shapes and initial values, in one declaration.

Flattened with dots they name the tensors of every safetensors file; ``specs/parameters.md`` lists them for ports.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from elt_ref.arrays import DTYPES, Tree, tree_items, tree_map, tree_rebuild
from elt_ref.config import (
    DiffusionModelConfig,
    Experiment,
    MaskedModelConfig,
    PatchModelConfig,
)
from elt_ref.idea import EXTRA, Idea
from elt_ref.streams import stream

Initial: TypeAlias = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
"""An initialiser: draws a parameter of a shape."""


class Declared(NamedTuple):
    """The declaration of one parameter."""

    shape: tuple[int, ...]
    initial: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def declare_parameters(config: Experiment, idea: Idea | None = None, seed: int | None = None) -> Tree:
    """Return the tree of `Declared` parameters, with no array made but an idea's. Kernels are [inputs, outputs].

    Args:
        config: of the network.
        idea: an idea, whose tensors have a key of their own.
        seed: of the idea's tensors; the configuration's by default.
    """
    model = config.model
    declared = _declare_patches(model) if isinstance(model, PatchModelConfig) else _declare_masked(model)
    if idea is not None and idea.init is not None:
        made = idea.init(config, stream(config.seed if seed is None else seed, f"initial/{EXTRA}"))
        declared[EXTRA] = tree_map(lambda leaf: Declared(leaf.shape, lambda _generator, _shape: leaf), made)
    return declared


def _declare_masked(model: MaskedModelConfig) -> Tree:
    kernel = scaled(truncated_normal, model.initial_deviation)
    layer = {
        "attention": _attention(model, kernel),
        "attention_norm": _norm(model.width),
        "mlp": _mlp(model, kernel),
        "mlp_norm": _norm(model.width),
    }
    return {
        "embedding": {
            "word": Declared((model.vocabulary, model.width), kernel),
            "position": Declared((model.tokens + 1, model.width), kernel),
            "norm": _norm(model.width),
        },
        "block": [layer for _ in range(model.layers)],
        "head": {
            "dense": _linear(model.width, model.width, kernel),
            "norm": _norm(model.width),
            "bias": Declared((model.codebook_size,), zeros),
        },
    }


def _declare_patches(model: PatchModelConfig) -> Tree:
    # DiT's initialisation: every adaLN starts at zero, so each layer is the identity. So does the output of a denoiser,
    # which predicts 0; generated samples that are all equal would have no field. Where the label is all of the
    # conditioning, its rows are as large as what time would add.
    small = scaled(normal, 0.02)
    diffusion = isinstance(model, DiffusionModelConfig)
    time = (
        {
            "time_in": _linear(model.time_features, model.width, small),
            "time_out": _linear(model.width, model.width, small),
        }
        if diffusion
        else {}
    )
    layer = {
        "attention": _attention(model, xavier_uniform),
        "mlp": _mlp(model, xavier_uniform),
        "modulation": _linear(model.width, 6 * model.width, zeros),
    }
    return {
        "embedding": {
            "patch": _linear(model.patch_features, model.width, xavier_uniform),
            **time,
            "label": Declared((model.label_rows, model.width), small if diffusion else normal),
        },
        "block": [layer for _ in range(model.layers)],
        "head": {
            "modulation": _linear(model.width, 2 * model.width, zeros),
            "output": _linear(model.width, model.patch_features, zeros if diffusion else xavier_uniform),
        },
    }


def _attention(model: MaskedModelConfig | PatchModelConfig, kernel: Initial) -> dict[str, Any]:
    return {
        "query_key_value": _linear(model.width, 3 * model.width, kernel),
        "output": _linear(model.width, model.width, kernel),
    }


def _mlp(model: MaskedModelConfig | PatchModelConfig, kernel: Initial) -> dict[str, Any]:
    return {"up": _linear(model.width, model.mlp_width, kernel), "down": _linear(model.mlp_width, model.width, kernel)}


def _linear(inputs: int, outputs: int, kernel: Initial) -> dict[str, Declared]:
    return {"weight": Declared((inputs, outputs), kernel), "bias": Declared((outputs,), zeros)}


def _norm(width: int) -> dict[str, Declared]:
    return {"scale": Declared((width,), ones), "bias": Declared((width,), zeros)}


def init_parameters(config: Experiment, seed: int | None = None, *, idea: Idea | None = None) -> Tree:
    """Return initial parameters in the training dtype.

    The masked family: kernels and embeddings are a standard normal cut at ±2, times `initial_deviation`; biases zero;
    norms 1 and 0 (MaskGIT). The diffusion family: Xavier-uniform kernels, labels and the time MLP normal
    with deviation 0.02, every adaLN and the output zero (DiT); the drifting family: the same, but the output
    Xavier-uniform and labels of deviation 1. Each parameter has a stream of its own, named
    after it, so adding one changes no other.

    Args:
        config: of the network.
        seed: 0 … 2⁶⁴ − 1; the configuration's where not given.
        idea: an idea, whose tensors stand behind the others.
    """
    seed = config.seed if seed is None else seed
    dtype = DTYPES[config.training.dtype]
    declared = declare_parameters(config, idea, seed)
    leaves = [
        parameter.initial(stream(seed, f"initial/{name}"), parameter.shape).astype(dtype)
        for name, parameter in tree_items(declared)
    ]
    return tree_rebuild(declared, leaves)


def zeros(_generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return zeros."""
    return np.zeros(shape)


def ones(_generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return ones."""
    return np.ones(shape)


def normal(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw a standard normal."""
    return generator.standard_normal(shape)


def xavier_uniform(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw uniformly from ±√(6 / (inputs + outputs))."""
    bound = math.sqrt(6 / sum(shape))
    return generator.uniform(-bound, bound, shape)


def scaled(initial: Initial, factor: float) -> Initial:
    """Return an initialiser that draws from `initial` and multiplies by `factor`."""
    return lambda generator, shape: factor * initial(generator, shape)


def truncated_normal(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw a standard normal conditioned on |x| ≤ 2, by drawing again what falls outside."""
    values = generator.standard_normal(shape)
    while (outside := np.abs(values) > 2).any():
        values[outside] = generator.standard_normal(int(outside.sum()))
    return values
