"""Jobs in several processes at a time. Each has its own interpreter, and ends when the one that started it ends."""

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from elt_ref.errors import RequestError, TrainingError
from elt_ref.run.process import settle_process
from elt_ref.run.stop import let_signals_come, signals_interrupt, start
from elt_ref.study.job import SAVING, Job, perform
from tiny_datasets import DatasetError


def perform_all(jobs: Sequence[Job], *, processes: int, on_done: Callable[[], None]) -> None:
    """Perform all jobs, `processes` at a time; with one, in this process.

    Args:
        jobs: jobs that have no training in common.
        processes: at least 1.
        on_done: called after each job.

    Raises:
        RequestError: a job was refused.
        TrainingError: a process ended before its job.
        KeyboardInterrupt: after the running trainings were saved.
    """
    if processes == 1 or len(jobs) < 2:
        for job in jobs:
            perform(job)
            on_done()
        return
    waiting, busy = deque(jobs), {}
    workers = [_Worker() for _ in range(min(processes, len(jobs)))]
    try:
        for worker in workers:
            busy[worker.pipe] = worker
            worker.pipe.send(waiting.popleft())
        while busy:
            for pipe in wait([*busy]):
                worker = busy.pop(pipe)
                worker.answer()
                on_done()
                if waiting:
                    busy[worker.pipe] = worker
                    worker.pipe.send(waiting.popleft())
    finally:
        for worker in workers:
            worker.end(busy=worker.pipe in busy)


class _Worker:
    """A process and the pipe to it."""

    def __init__(self) -> None:
        # Spawn a fresh interpreter: a forked one would share the threads of the matrix library.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs,))
        start(self.process)
        theirs.close()

    def answer(self) -> None:
        """Wait for the end of a job, and raise what it raised."""
        try:
            error = self.pipe.recv()
        except EOFError:
            self.process.join(SAVING)
            raise TrainingError(
                f"study: expected a process to finish its training, got exit code {self.process.exitcode}"
            ) from None
        if error is not None:
            raise RequestError(error)

    def end(self, *, busy: bool) -> None:
        """End the process; what it trains is saved. One without work ends by itself, when its pipe is closed."""
        self.pipe.close()
        if busy and self.process.is_alive():
            self.process.terminate()
        self.process.join(SAVING)
        self.process.kill()


def _work(pipe: Connection) -> None:
    """Perform jobs until the pipe closes; answer each with None, or with a sentence."""
    settle_process()
    with signals_interrupt() as stop, suppress(EOFError, OSError):
        try:
            let_signals_come()
            threading.Thread(target=_end_with_parent, daemon=True).start()
            while True:
                pipe.send(_performed(pipe.recv()))
        except KeyboardInterrupt:
            sys.exit(stop.exit_code)


def _performed(job: Any) -> str | None:
    try:
        perform(job)
    except (RequestError, DatasetError, OSError, MemoryError) as error:
        return str(error) or "expected more memory than there is"
    return None


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
