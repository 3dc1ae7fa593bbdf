"""A job: what one process repeats. It travels as JSON from the command to the process of a side."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from elt_ref.config import Experiment, validate

Repetition: TypeAlias = Callable[[int], np.ndarray]
"""Do the work once and return its answer as one flat array; the index chooses among the batches."""


@dataclass(frozen=True)
class Job:
    """Who does what."""

    side: str
    """``elt_ref``, a peer, ``unlooped``, or ``matmul``."""
    work: str
    """``train``, ``sample``, ``conform`` or ``forward``; of no meaning to ``matmul``."""
    config: Experiment | None
    """None where the work has no network of its own: ``conform`` and ``matmul``."""
    ports: Path
    """The folder of the ports."""
    threads: int
    """Of every matrix product, on either side."""
    kernels: str | None = None
    """Of our OpenBLAS, as OPENBLAS_CORETYPE; it ignores names it does not know. None: those it takes by itself."""

    @property
    def network(self) -> Experiment:
        """The configuration, of a work that has one."""
        if self.config is None:
            raise ValueError(f"{self.work}: expected a work with a network")
        return self.config

    def to_json(self) -> str:
        """Return the job on one line."""
        config: Any = None if self.config is None else self.config.model_dump(mode="json", exclude_none=True)
        return json.dumps({**vars(self), "config": config, "ports": str(self.ports)})

    @staticmethod
    def from_json(line: str) -> "Job":
        """Return the job of such a line."""
        document = json.loads(line)
        config = document["config"] and validate(document["config"], where="job")
        return Job(**{**document, "config": config, "ports": Path(document["ports"])})
