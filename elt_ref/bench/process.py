"""The process of one side: ``python -m elt_ref.bench.process``, a job on the first line, then one request a line.

    {"do": "run", "index": 3, "answer": true}   → {"seconds": 0.02, "processor_seconds": 0.02, "answer": [1.5]}
    {"do": "work"}                              → {"macs": 123, "pass_seconds": 0.01}   of one of our repetitions
    {"do": "profile"}                           → {"profile": {"linear": [0.7, 123, 0.01], …}}   by part seconds,
                                                  multiply-adds, and seconds of the fewest passes alone
    {"do": "memory"}                            → {"megabytes": 80.1}

It is idle between requests. An error is reported as ``{"error": "one sentence"}``.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from elt_ref.bench.job import Job, Repetition
from elt_ref.run.process import keep_freed_memory


def main() -> None:
    """Read the job, then answer requests until the input ends."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # a framework's own output must not mix with the replies
    keep_freed_memory()  # on every side alike

    def tell(reply: dict[str, Any]) -> None:
        replies.write(json.dumps(reply) + "\n")
        replies.flush()

    try:
        repetition = open_side(Job.from_json(sys.stdin.readline()))
        tell({"ready": True})
        for line in sys.stdin:
            tell(_reply(repetition, json.loads(line)))
    except Exception as error:  # noqa: BLE001  a framework may raise anything; report it
        tell({"error": " ".join(f"{type(error).__name__}: {error}".split())})


def open_side(job: Job) -> Repetition:
    """Return the repetition of a job."""
    return _opener(job)(job)


def _opener(job: Job) -> Callable[[Job], Repetition]:
    # Load only what the side needs, because the memory of the process is measured.
    if job.side in {"torch", "torch-compile"}:
        from elt_ref.bench.torch_side import open_torch  # noqa: PLC0415

        return open_torch
    if job.side == "jax":
        from elt_ref.bench.jax_side import open_jax  # noqa: PLC0415

        return open_jax
    if job.work == "forward":
        from elt_ref.bench.loop_side import open_loop  # noqa: PLC0415

        return open_loop
    from elt_ref.bench.reference_side import open_matmul, open_reference  # noqa: PLC0415

    return open_matmul if job.side == "matmul" else open_reference


def _reply(repetition: Repetition, request: dict[str, Any]) -> dict[str, Any]:
    if request["do"] == "memory":
        return {"megabytes": peak_memory_mb()}
    if request["do"] == "profile":
        from elt_ref.bench.profile import spent  # noqa: PLC0415

        return {"profile": spent(repetition)}
    if request["do"] == "work":
        from elt_ref.bench.floor import pass_seconds  # noqa: PLC0415
        from elt_ref.ops import counting  # noqa: PLC0415

        with counting() as work:
            repetition(0)
        return {"macs": work.macs, "pass_seconds": pass_seconds(work.passes)}
    processor, started = time.process_time(), time.perf_counter()
    answer = repetition(request["index"])
    seconds, spent = time.perf_counter() - started, time.process_time() - processor
    flat = answer.ravel().tolist() if request["answer"] else None
    return {"seconds": seconds, "processor_seconds": spent, "answer": flat}


def peak_memory_mb() -> float | None:
    """Return the largest memory that this process held at once, in 10⁶ bytes; None if unknown."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux: getrusage would include the parent's memory
        peak = next(
            (line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM")), None
        )
        if peak is not None:
            return int(peak.split()[1]) * 1024 / 1e6
    try:
        import resource  # noqa: PLC0415  not on Windows
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    main()
