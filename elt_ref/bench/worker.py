"""The way to the process of a side: start it, ask it, end it."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np

from elt_ref.bench.job import Job
from elt_ref.bench.peers import is_checkout
from elt_ref.errors import RequestError

_THREAD_VARIABLES = (
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "OMP_NUM_THREADS",
    "NPROC",  # of XLA's thread pools
    "TORCHINDUCTOR_COMPILE_THREADS",
)
_TUNING = ("OPENBLAS_", "MKL_")
"""Variables of the environment that tune the BLAS of one side begin so. Without them each suits itself."""


class SideError(RequestError):
    """A side could not work: its framework failed, or its process ended."""

    def __init__(self, job: Job, got: str) -> None:
        super().__init__(f"bench, {job.side}, {job.work}: expected a repetition, got {got}")


@dataclass(frozen=True)
class Timed:
    """One repetition."""

    seconds: float
    processor_seconds: float
    """Of all its threads."""
    answer: np.ndarray | None
    """Where it was asked for."""


class Worker:
    """A process that repeats a job when asked. Use it in a ``with``; it ends at the end."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def __enter__(self) -> "Worker":  # noqa: PYI034  beartype takes no Self of a method
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "elt_ref.bench.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment(self.job),
            cwd=self.job.side if is_checkout(self.job.side) else None,  # where Python finds elt_ref first
            text=True,
            encoding="utf-8",
        )
        try:
            self._ask(self.job.to_json())
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def run(self, index: int, *, answer: bool = False) -> Timed:
        """Do one repetition.

        Raises:
            SideError: the side could not.
        """
        reply = self._ask(json.dumps({"do": "run", "index": index, "answer": answer}))
        told = np.array(reply["answer"]) if answer else None
        return Timed(reply["seconds"], reply["processor_seconds"], told)

    def shares(self) -> dict[str, float]:
        """Return the share of its time that a repetition spends in each of our parts; of our side only."""
        return self._ask(json.dumps({"do": "shares"}))["shares"]

    def macs(self) -> int:
        """Return the multiply-adds of one repetition, as elt_ref's ops count them."""
        return self._ask(json.dumps({"do": "macs"}))["macs"]

    def peak_memory_mb(self) -> float | None:
        """Return the largest memory that the process held so far, in 10⁶ bytes; None where the system does not tell."""
        return self._ask(json.dumps({"do": "memory"}))["megabytes"]

    def _ask(self, line: str) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise SideError(self.job, "a process without pipes")
        try:
            stdin.write(line + "\n")
            stdin.flush()
            reply = json.loads(stdout.readline())
        except (OSError, json.JSONDecodeError):
            raise SideError(self.job, self._last_words()) from None
        if "error" in reply:
            raise SideError(self.job, reply["error"])
        return reply

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "the end of the process")


def environment(job: Job) -> dict[str, str]:
    """Return the environment of a side: so many threads for NumPy's BLAS, OpenMP and XLA alike, and the kernels."""
    settings = {name: str(job.threads) for name in _THREAD_VARIABLES}
    # What XLA frees in an arena of its own is given back and mapped anew at every call; 0 leaves it so.
    settings["MALLOC_ARENA_MAX"] = os.environ.get("MALLOC_ARENA_MAX", "1")
    settings["JAX_PLATFORMS"] = "cpu"
    if job.threads == 1:
        settings["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    if job.kernels is not None:
        settings["OPENBLAS_CORETYPE"] = job.kernels
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_TUNING)}
    return {**kept, **settings}
