"""A job: the work that one process repeats. It travels as JSON from the command to the process of a side."""

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
    """A workload and the side that runs it."""

    side: str
    """``elt_ref``, a peer, ``unlooped``, or ``matmul``."""
    work: str
    """``train``, ``sample``, ``conform`` or ``forward``; ``matmul`` ignores it."""
    config: Experiment | None
    """None if the workload has no network of its own: ``conform`` and ``matmul``."""
    ports: Path
    """Folder of the ports."""
    threads: int
    """Threads of every matrix product, on either side."""
    kernels: str | None = None
    """Kernels of our OpenBLAS, as OPENBLAS_CORETYPE; unknown names are ignored. None: OpenBLAS chooses."""

    @property
    def network(self) -> Experiment:
        """The configuration; an error if the workload has none."""
        if self.config is None:
            raise ValueError(f"{self.work}: expected a work with a network")
        return self.config

    def to_json(self) -> str:
        """Return the job on one line."""
        config: Any = None if self.config is None else self.config.model_dump(mode="json", exclude_none=True)
        return json.dumps({**vars(self), "config": config, "ports": str(self.ports)})

    @staticmethod
    def from_json(line: str) -> "Job":
        """Return the job that `to_json` wrote."""
        document = json.loads(line)
        config = document["config"] and validate(document["config"], where="job")
        return Job(**{**document, "config": config, "ports": Path(document["ports"])})
