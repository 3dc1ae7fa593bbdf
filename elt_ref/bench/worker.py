"""The client of a side's process: starts it, sends requests, ends it."""

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
from elt_ref.bench.peers import is_checkout, shares_samples
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
"""Prefixes of environment variables that tune a BLAS; without those variables each side chooses for itself."""


class SideError(RequestError):
    """A side failed: its framework raised, or its process ended."""

    def __init__(self, job: Job, got: str) -> None:
        super().__init__(f"bench, {job.side}, {job.work}: expected a repetition, got {got}")


@dataclass(frozen=True)
class Timed:
    """One repetition."""

    seconds: float
    processor_seconds: float
    """Processor time of all its threads."""
    answer: np.ndarray | None
    """Answer, if it was requested."""


class Worker:
    """A process that repeats a job on request. Use it in a ``with``, which ends it."""

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
        """Run one repetition.

        Raises:
            SideError: the side failed.
        """
        reply = self._ask(json.dumps({"do": "run", "index": index, "answer": answer}))
        flat = np.array(reply["answer"]) if answer else None
        return Timed(reply["seconds"], reply["processor_seconds"], flat)

    def profile(self) -> dict[str, tuple[float, int, float]]:
        """Return what a repetition takes in each part, as `elt_ref.bench.profile.Spent`; only our side has parts."""
        return {part: tuple(spent) for part, spent in self._ask(json.dumps({"do": "profile"}))["profile"].items()}

    def work(self) -> tuple[int, float]:
        """Return the multiply-adds of one of our repetitions, and the seconds that its fewest passes take alone."""
        reply = self._ask(json.dumps({"do": "work"}))
        return reply["macs"], reply["pass_seconds"]

    def peak_memory_mb(self) -> float | None:
        """Return the largest memory that the process held so far, in 10⁶ bytes; None if unknown."""
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
    """Return the environment of a side: thread counts, and the kernels."""
    settings = {name: str(job.threads) for name in _THREAD_VARIABLES}
    if shares_samples(job.side):
        settings |= {"ELT_REF_THREADS": str(job.threads), "OPENBLAS_NUM_THREADS": "1"}
    # XLA returns the memory it frees in its own arena and maps it again at every call; 0 leaves it so.
    settings["MALLOC_ARENA_MAX"] = os.environ.get("MALLOC_ARENA_MAX", "1")
    settings["JAX_PLATFORMS"] = "cpu"
    if job.threads == 1:
        settings["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    if job.kernels is not None:
        settings["OPENBLAS_CORETYPE"] = job.kernels
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_TUNING)}
    return {**kept, **settings}
