"""The boundary: arrays become nested lists here, and nested lists float64 or int64 arrays. Nothing is computed."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

Arrays: TypeAlias = dict[str, np.ndarray]
Parameters: TypeAlias = Mapping[str, np.ndarray]
Section: TypeAlias = Mapping[str, Any]


def lists(parameters: Parameters) -> dict[str, list]:
    """Return named arrays as nested lists."""
    return {name: array.tolist() for name, array in parameters.items()}


def floats(values: Any) -> np.ndarray:
    """Return numbers, nested or not, as an array of float64."""
    return np.array(values, np.float64)


def integers(values: Any) -> np.ndarray:
    """Return whole numbers, nested or not, as an array of int64."""
    return np.array(values, np.int64)


def named(prefix: str, values: Mapping[str, list]) -> Arrays:
    """Return named nested lists as arrays, with a prefix and a dot before the names."""
    return {f"{prefix}.{name}": floats(leaf) for name, leaf in values.items()}
