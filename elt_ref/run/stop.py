"""The signals that end a command: each is a Ctrl-C, so that whatever saves then saves."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from elt_ref.run.leave import leave

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Ctrl-C, a batch system's time limit or `kill`, and a terminal that is closed; Windows has no SIGHUP."""


@dataclass
class Stop:
    """What ended the command."""

    signal: int | None = None
    """The first signal of `ENDING` that came."""

    @property
    def exit_code(self) -> int:
        """The shell's exit code of a process that a signal ended: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
        return 128 + (self.signal or signal.SIGINT)


@contextmanager
def signals_interrupt() -> Iterator[Stop]:
    """Inside, every signal of `ENDING` raises KeyboardInterrupt, once; after the first only Ctrl-C does so again.

    A signal that is ignored (nohup, a background job of a script) stays ignored, and a handler that another program
    has set stays. Outside the main thread, where none can be set, nothing happens.
    """
    stop = Stop()

    def handle(number: int, _frame: FrameType | None) -> None:
        if stop.signal is None or number == signal.SIGINT:
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
