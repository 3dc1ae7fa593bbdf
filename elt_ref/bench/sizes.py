"""The networks of the benchmark: three families, from the presets' size upwards. Data are random."""

from collections.abc import Mapping
from typing import Any

from elt_ref.config import Experiment, load_preset

PRESETS = {"masked": "digits-masked", "diffusion": "digits-diffusion", "video": "digits-video"}
FAMILIES = tuple(PRESETS)

_GRIDS: Mapping[str, Mapping[str, Any]] = {
    "masked": {"model.grid": [8, 8], "training.batch_size": 32},
    "diffusion": {"model.shape": [16, 16, 4], "training.batch_size": 32},
    "video": {"model.grid": [2, 8, 8], "training.batch_size": 16},
}
"""Batch of the larger sizes: 2,048 tokens."""

_WIDTHS: Mapping[str, Mapping[str, Any]] = {
    "tiny": {
        "model.width": 16,
        "model.mlp_width": 32,
        "training.batch_size": 2,
        "sampling.steps": 3,
    },
    "small": {},
    "medium": {"model.width": 128, "model.mlp_width": 512},
    "large": {"model.width": 256, "model.mlp_width": 1024},
}
SIZES = tuple(_WIDTHS)
DEFAULT_SIZES = ("small", "medium", "large")

_COMMON = {"training.steps": 1_000_000, "training.warmup_steps": 1, "sampling.steps": 8}
"""Settings under which λ hardly moves while it is timed, and the first step already has the full learning rate."""


def benched(family: str, size: str) -> Experiment:
    """Return the configuration of one of `FAMILIES` at one of `SIZES`; ``small`` is the preset, ``tiny`` is quick."""
    grid = _GRIDS[family] if size in {"medium", "large"} else {}
    return load_preset(PRESETS[family], {**_COMMON, **grid, **_WIDTHS[size]})


def tokens_a_batch(config: Experiment) -> int:
    """Return batch × tokens, without class tokens."""
    return config.training.batch_size * config.model.tokens
