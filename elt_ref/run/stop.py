"""The signals that end a command: each is a Ctrl-C, so that whatever saves then saves."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from types import FrameType

from elt_ref.run.leave import leave

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGXCPU", "SIGUSR1", "SIGUSR2")
ENDING = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
"""Ctrl-C, `kill`, a terminal that is closed, and a batch system's limits or its warnings of them; Windows has two."""
TOGETHER = 0.5
"""Seconds in which a second Ctrl-C is taken for the first: a wrapper passes on what the terminal sent to both."""


@dataclass
class Stop:
    """What ended the command."""

    signal: int | None = None
    """The first signal of `ENDING` that came."""

    @property
    def exit_code(self) -> int:
        """The shell's exit code of a process that a signal ended: 128 and its number."""
        return 128 + (self.signal or signal.SIGINT)


@contextmanager
def signals_interrupt() -> Iterator[Stop]:
    """Inside, every signal of `ENDING` raises KeyboardInterrupt, once; after the first only a later Ctrl-C does again.

    A signal that is ignored (nohup, a background job of a script) stays ignored, and a handler that another program
    has set stays. Outside the main thread, where none can be set, nothing happens.
    """
    stop, came = Stop(), -TOGETHER

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal came
        before, came = came, time.monotonic()
        if stop.signal is None or (number == signal.SIGINT and came - before >= TOGETHER):
            stop.signal = stop.signal or number
            raise KeyboardInterrupt

    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in ENDING:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler, leave):
                before[number] = signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def start(process: BaseProcess) -> None:
    """Start a process in which the signals of `ENDING` wait while it loads, until it calls `let_signals_come`."""
    if hasattr(signal, "pthread_sigmask"):  # Windows has none
        resource_tracker.ensure_running()  # to start it later would let the signals come
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        process.start()
    finally:
        let_signals_come()


def let_signals_come() -> None:
    """End the waiting of signals; one that has come is handled now."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
