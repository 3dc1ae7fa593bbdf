"""Material for cases: complete sections of configurations, and numbers from named streams."""

from typing import Any

import numpy as np

from elt_ref.arrays import tree_items
from elt_ref.config import (
    DiffusionConfig,
    DiffusionModelConfig,
    DriftingModelConfig,
    MaskedModelConfig,
    SamplingConfig,
    TrainingConfig,
)
from elt_ref.conformance.reference import configuration
from elt_ref.model import declare_parameters
from elt_ref.streams import stream

SEED = 20260414
"""Seed of every number in the vectors."""


def masked_section(**changes: Any) -> dict[str, Any]:
    """Return the [model] section of a small masked network, every key present."""
    small = {
        "layers": 2,
        "max_loops": 3,
        "width": 8,
        "heads": 2,
        "mlp_width": 12,
        "grid": [2, 3],
        "codebook_size": 7,
        "classes": 3,
    }
    return MaskedModelConfig.model_validate(small | changes).model_dump(mode="json")


def diffusion_section(**changes: Any) -> dict[str, Any]:
    """Return the [model] section of a small diffusion network, every key present; sides and channels all differ."""
    small = {
        "family": "diffusion",
        "layers": 2,
        "max_loops": 3,
        "width": 8,
        "heads": 2,
        "mlp_width": 12,
        "shape": [4, 6, 4],
        "patch_size": 2,
        "classes": 3,
        "time_features": 8,
    }
    return DiffusionModelConfig.model_validate(small | changes).model_dump(mode="json")


def drifting_section(**changes: Any) -> dict[str, Any]:
    """Return the [model] section of a small drifting network, every key present; sides and channels all differ."""
    small = {name: value for name, value in diffusion_section().items() if not name.startswith("time_")}
    small |= {"family": "drifting", "unconditional_row": False}
    return DriftingModelConfig.model_validate(small | changes).model_dump(mode="json")


def noise_section(**changes: Any) -> dict[str, Any]:
    """Return a [diffusion] section, every key present."""
    return DiffusionConfig.model_validate({"shift": 0.5, "bias": 0.7} | changes).model_dump(mode="json")


def training_section(**changes: Any) -> dict[str, Any]:
    """Return a [training] section, every key present.

    Its ε is large: the gradient of a key's bias is only rounding, which Adam would divide by 1e-8.
    """
    small = {
        "epsilon": 1e-3,
        "steps": 8,
        "warmup_steps": 2,
        "learning_rate": 0.05,
        "weight_decay": 0.1,
        "average_decay": 0.9,
    }
    return TrainingConfig.model_validate(small | {"dtype": "float64"} | changes).model_dump(mode="json")


def sampling_section(**changes: Any) -> dict[str, Any]:
    """Return a [sampling] section, every key present."""
    return SamplingConfig.model_validate(changes).model_dump(mode="json", exclude_none=True)


def parameters(model: dict[str, Any], name: str, spread: float = 1.0) -> dict[str, np.ndarray]:
    """Return parameters by ``parameters.NAME``, in which every layer, bias and gate matters.

    Args:
        model: the configuration's section.
        name: name of their stream.
        spread: factor of the deviation of kernels; 1 keeps the scale of activations.
    """
    drawn = {}
    for path, declared in tree_items(declare_parameters(configuration(model))):
        normal = stream(SEED, f"{name}/{path}").standard_normal(declared.shape)
        values = 0.3 * normal
        if len(declared.shape) > 1:
            values = spread * normal / np.sqrt(declared.shape[0])
        elif path.endswith(".scale"):
            values = 1 + 0.3 * normal
        drawn[f"parameters.{path}"] = values
    return drawn


def normal(name: str, *shape: int) -> np.ndarray:
    """Return standard normal numbers."""
    return stream(SEED, name).standard_normal(shape)


def uniform(name: str, *shape: int) -> np.ndarray:
    """Return numbers in [0, 1)."""
    return stream(SEED, name).random(shape)


def gumbel(name: str, *shape: int) -> np.ndarray:
    """Return standard Gumbel numbers."""
    return stream(SEED, name).gumbel(size=shape)


def integers(name: str, high: int, *shape: int) -> np.ndarray:
    """Return integers in 0 … high − 1, int64."""
    return stream(SEED, name).integers(high, size=shape)
