"""The adapter of `elt_torch_distributed` for elt_ref's judge: that of `elt_torch`, and training across processes.

elt-ref conform run elt_ref.ports.elt_torch_distributed_backend:Backend --only STEP-07
"""

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import elt_torch_backend
import numpy as np
import torch
import torch.distributed as dist
from elt_torch_distributed import leave
from safetensors.numpy import load_file, save_file


class Backend(elt_torch_backend.Backend):
    """elt_torch's backend, with training across processes that it starts."""

    def masked_training_across(self, *, processes: int, **asked: Any) -> dict[str, np.ndarray]:
        """Train with DistributedDataParallel over gloo."""
        with tempfile.TemporaryDirectory() as folder:
            torch.multiprocessing.spawn(train_share, (processes, Path(folder), asked), nprocs=processes)
            return load_file(Path(folder) / "answer.safetensors")

    def describe(self) -> elt_torch_backend.Description:
        """Return the description."""
        described = super().describe()
        operations = (*described.operations, "masked_training_across")
        return dataclasses.replace(described, name="elt_torch_distributed", operations=operations)


def train_share(rank: int, processes: int, folder: Path, asked: dict[str, Any]) -> None:
    """Train on this process's rows of every batch; the first process writes the answer."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=processes)
    student_loops = asked.pop("student_loops")
    mine = {
        name: np.array_split(value, processes, axis=1)[rank] if isinstance(value, np.ndarray) else value
        for name, value in asked.items()
    }
    answer = elt_torch_backend.Backend().masked_training(student_loops=student_loops, **mine)
    total = torch.from_numpy(answer["total"])
    dist.all_reduce(total)  # a sum; gloo has no mean
    if rank == 0:
        save_file({**answer, "total": (total / processes).numpy()}, folder / "answer.safetensors")
    leave()
