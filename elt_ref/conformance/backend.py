"""The interface of an implementation. NumPy arrays in, NumPy arrays out; everything except `describe` is optional.

``specs/operations.toml`` says what every operation is asked and answers: see `elt_ref.conformance.operations`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

Tensors: TypeAlias = Mapping[str, np.ndarray]
Parameters: TypeAlias = Mapping[str, np.ndarray]
Section: TypeAlias = Mapping[str, Any]


class Unsupported(Exception):  # noqa: N818  an answer, not an error
    """Raised by a backend that lacks an operation or cannot answer a question; allowed for undeclared operations."""


@dataclass(frozen=True)
class Description:
    """A backend's description of itself, read before any question."""

    name: str
    version: str
    operations: tuple[str, ...]
    """Names of the operations it offers, including taps. Only these are judged and awarded."""
    dtypes: tuple[str, ...] = ("float64", "float32")
    """Dtypes that it supports, out of ``float64`` and ``float32``."""
    choices: Mapping[str, str] = field(default_factory=dict)
    """Its alternative for each choice that the paper leaves open: see `elt_ref.conformance.choices`.

    A backend that implements ``mask_lengths``, ``decode_step`` or ``masked_sample`` must declare
    ``sampling.schedule_precision``.
    """


@runtime_checkable
class Backend(Protocol):
    """An implementation to judge. Write the methods that you have; leave out the others."""

    def describe(self) -> Description:
        """Return name, version, operations, dtypes and choices."""
        ...


JUDGED_DTYPES = ("float64", "float32")
"""The dtypes that clauses are judged in."""
