"""The parameters: their names, shapes and initial values, in one declaration.

Flattened with dots the names are those of every safetensors file; ``specs/parameters.md`` lists them for ports.
"""

from typing import Any, NamedTuple

import numpy as np

from elt_ref.arrays import DTYPES, Tree, tree_items, tree_rebuild
from elt_ref.config import Config, ModelConfig
from elt_ref.streams import stream


class Declared(NamedTuple):
    """The declaration of one parameter."""

    shape: tuple[int, ...]
    initial: str
    """"normal" (truncated, scaled), "zeros" or "ones"."""


def declare_parameters(config: Config) -> Tree:
    """Return the tree of `Declared` parameters, with no array made. Kernels are [inputs, outputs]."""
    model = config.model
    return {
        "embedding": {
            "word": Declared((model.vocabulary, model.width), "normal"),
            "position": Declared((model.tokens + 1, model.width), "normal"),
            "norm": _norm(model.width),
        },
        "block": [_post_norm_layer(model) for _ in range(model.layers)],
        "head": {
            "dense": _linear(model.width, model.width),
            "norm": _norm(model.width),
            "bias": Declared((model.codebook_size,), "zeros"),
        },
    }


def _post_norm_layer(model: ModelConfig) -> dict[str, Any]:
    return {
        "attention": {
            "query_key_value": _linear(model.width, 3 * model.width),
            "output": _linear(model.width, model.width),
        },
        "attention_norm": _norm(model.width),
        "mlp": {"up": _linear(model.width, model.mlp_width), "down": _linear(model.mlp_width, model.width)},
        "mlp_norm": _norm(model.width),
    }


def _linear(inputs: int, outputs: int) -> dict[str, Declared]:
    return {"weight": Declared((inputs, outputs), "normal"), "bias": Declared((outputs,), "zeros")}


def _norm(width: int) -> dict[str, Declared]:
    return {"scale": Declared((width,), "ones"), "bias": Declared((width,), "zeros")}


def init_parameters(config: Config, seed: int | None = None) -> Tree:
    """Return initial parameters in the training dtype.

    Kernels and embeddings are a standard normal cut at ±2, times `initial_deviation`; biases zero; norms 1 and 0.
    Each parameter has a stream of its own, named after it, so adding one changes no other.

    Args:
        config: of the network.
        seed: 0 … 2⁶⁴ − 1; the configuration's where not given.

    Source: MaskGIT's initialisers (facts §2a).
    """
    seed = config.seed if seed is None else seed
    dtype = DTYPES[config.training.dtype]
    declared = declare_parameters(config)

    def initial(name: str, parameter: Declared) -> np.ndarray:
        if parameter.initial == "normal":
            normal = truncated_normal(stream(seed, f"initial/{name}"), parameter.shape)
            return (config.model.initial_deviation * normal).astype(dtype)
        return np.full(parameter.shape, parameter.initial == "ones", dtype)

    return tree_rebuild(declared, [initial(name, parameter) for name, parameter in tree_items(declared)])


def truncated_normal(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw a standard normal conditioned on |x| ≤ 2, by drawing again what falls outside."""
    values = generator.standard_normal(shape)
    while (outside := np.abs(values) > 2).any():
        values[outside] = generator.standard_normal(int(outside.sum()))
    return values
