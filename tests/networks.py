"""Small networks for tests: configurations, parameters that do not degenerate, and hypothesis strategies of both."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from elt_ref.arrays import DTYPES, tree_items, tree_rebuild
from elt_ref.config import DiffusionExperiment, DriftingExperiment, Experiment, MaskedExperiment, validate
from elt_ref.model import NETWORKS, block_of, declare_parameters

SMALL = {
    "layers": 2,
    "max_loops": 3,
    "width": 8,
    "heads": 2,
    "mlp_width": 12,
    "grid": (2, 2),
    "codebook_size": 5,
    "classes": 3,
}

DIFFUSION = {
    "family": "diffusion",
    "layers": 2,
    "max_loops": 3,
    "width": 8,
    "heads": 2,
    "mlp_width": 12,
    "shape": (4, 6, 3),
    "patch_size": 2,
    "classes": 3,
    "time_features": 6,
}


def make_config(
    *,
    dtype: str = "float64",
    seed: int = 0,
    objective: dict[str, Any] | None = None,
    sampling: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    **model: Any,
) -> MaskedExperiment:
    """Return the configuration of a small network; keywords replace settings of its sections."""
    model = SMALL | model
    if model["max_loops"] == 1:  # there is no student
        objective = {"kind": "vanilla"} | (objective or {})
    config = validate(
        {
            "name": "test",
            "seed": seed,
            "model": model,
            "objective": objective or {},
            "sampling": {"steps": 4} | (sampling or {}),
            "training": {"dtype": dtype, "batch_size": 3} | (training or {}),
        },
        where="test",
    )
    assert isinstance(config, MaskedExperiment)
    return config


def make_diffusion_config(
    *,
    dtype: str = "float64",
    diffusion: dict[str, Any] | None = None,
    objective: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    **model: Any,
) -> DiffusionExperiment:
    """Return the configuration of a small diffusion network; keywords replace settings of its sections."""
    config = validate(
        {
            "name": "test",
            "model": DIFFUSION | model,
            "diffusion": {"shift": 0.0, "bias": 0.0} | (diffusion or {}),
            "objective": objective or {},
            "training": {"dtype": dtype, "batch_size": 3} | (training or {}),
        },
        where="test",
    )
    assert isinstance(config, DiffusionExperiment)
    return config


def make_drifting_config(
    *,
    dtype: str = "float64",
    drifting: dict[str, Any] | None = None,
    objective: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    **model: Any,
) -> DriftingExperiment:
    """Return the configuration of a small drifting network; keywords replace settings of its sections."""
    network = {name: value for name, value in DIFFUSION.items() if name != "time_features"}
    config = validate(
        {
            "name": "test",
            "model": network | {"family": "drifting"} | model,
            "drifting": {"classes_per_step": 2, "positives": 3} | (drifting or {}),
            "objective": {"label_drop_rate": 0.0} | (objective or {}),
            "sampling": {"steps": 1},
            "training": {"dtype": dtype, "batch_size": 6} | (training or {}),
        },
        where="test",
    )
    assert isinstance(config, DriftingExperiment)
    return config


def random_parameters(config: Experiment, seed: int = 0) -> Any:
    """Return parameters far from their small initial values: every layer, head and bias matters, loops most of all."""
    generator = np.random.default_rng(seed)
    declared = declare_parameters(config)

    def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
        normal = generator.standard_normal(shape)
        values = 0.3 * normal
        if len(shape) > 1:
            values = 1.5 * normal / np.sqrt(shape[0])
        elif name.endswith(".scale"):
            values = 1 + 0.3 * normal
        return values.astype(DTYPES[config.training.dtype])

    return tree_rebuild(declared, [draw(name, parameter.shape) for name, parameter in tree_items(declared)])


def random_tokens(config: MaskedExperiment, batch: int, seed: int = 0, unknown: float = 0.5) -> np.ndarray:
    """Return tokens, about the share `unknown` of them masked."""
    generator, model = np.random.default_rng(seed), config.model
    codes = generator.integers(model.codebook_size, size=(batch, model.tokens))
    return np.where(generator.random(codes.shape) < unknown, model.mask_token, codes)


def random_labels(config: Experiment, batch: int, seed: int = 0) -> np.ndarray:
    """Return classes."""
    return np.random.default_rng(seed).integers(config.model.classes, size=batch)


class Opened(NamedTuple):
    """A network that has read its inputs."""

    state: Any
    """State before the first loop."""
    block: Callable[[Any], Any]
    """g_Θ, from state to state."""
    head: Callable[[Any], Any]
    """From any state to a prediction."""


def open_network(parameters: Any, config: Experiment, *inputs: Any) -> Opened:
    """Return what stands before the loop, in it and after it, for these inputs."""
    network = NETWORKS[type(config)]
    state, layers, head = network.embed(parameters, config.model, *inputs)
    return Opened(state, block_of(network, layers, config), partial(network.head, head, config.model))


class Example(NamedTuple):
    """A network and something to read."""

    config: MaskedExperiment
    parameters: Any
    tokens: np.ndarray
    labels: np.ndarray


@st.composite
def examples(draw: Any, dtypes: tuple[str, ...] = ("float32", "float64"), max_loops: int = 4, **model: Any) -> Example:
    """Draw N, L_max, widths, heads, grid, vocabulary, batch and dtype; keywords fix settings of the model."""
    heads = draw(st.integers(1, 3))
    drawn = {
        "layers": draw(st.integers(1, 3)),
        "max_loops": draw(st.integers(1, max_loops)),
        "heads": heads,
        "width": heads * draw(st.integers(2 if heads > 1 else 4, 4)),  # of two numbers a norm leaves nothing but signs
        "mlp_width": draw(st.integers(1, 12)),
        "grid": draw(st.sampled_from([(1,), (5,), (2, 3), (2, 2, 2)])),
        "codebook_size": draw(st.integers(2, 7)),
        "classes": draw(st.integers(1, 3)),
    }
    config = make_config(dtype=draw(st.sampled_from(dtypes)), **(drawn | model))
    seed, batch = draw(st.integers(0, 2**32 - 1)), draw(st.integers(1, 3))
    return Example(
        config, random_parameters(config, seed), random_tokens(config, batch, seed), random_labels(config, batch, seed)
    )


def epsilon_of(clean, noisy, snr):
    """Return the ε that x0 means for noisy samples: ε = (z − α x) / σ, with α² = sigmoid(λ) and σ² = sigmoid(−λ)."""
    snr = np.asarray(snr).reshape(-1, *[1] * (noisy.ndim - 1))
    return (noisy - clean / np.sqrt(1 + np.exp(-snr))) * np.sqrt(1 + np.exp(snr))
