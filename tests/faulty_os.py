"""`os` with a fault at one of its calls, for the rooms that write files: a kill, an error, a folder that vanishes."""

import os
import signal
from contextlib import contextmanager

from elt_ref import files
from elt_ref.run import lock

CALLS = {"open", "write", "truncate", "fsync", "replace", "unlink", "close"}
"""System calls of a write."""
ROOMS = (files, lock)


class FaultyOs:
    """Stands for the module `os`; before the nth of `CALLS` the fault happens, and the call follows if that returns."""

    def __init__(self, at, fault):
        self.at, self.fault, self.calls = at, fault, []

    def __getattr__(self, name):
        original = getattr(os, name)
        if name not in CALLS:
            return original

        def call(*arguments):
            self.calls.append(name)
            if len(self.calls) == self.at:
                self.fault(name, arguments)
            # A kill loses nothing that the system has taken over, so the disk need not be waited for.
            return None if name == "fsync" else original(*arguments)

        return call


@contextmanager
def faulty(at, fault):
    """Give the rooms that write a faulty `os`; `at` 0 only counts."""
    stand_in = FaultyOs(at, fault)
    for room in ROOMS:
        room.os = stand_in
    try:
        yield stand_in
    finally:
        for room in ROOMS:
            room.os = os


def kill(_name, _arguments):
    """End this process as nothing else does."""
    os.kill(os.getpid(), signal.SIGKILL)


def kill_halfway(name, arguments):
    """Write half, then end this process."""
    if name == "write":
        descriptor, content = arguments
        os.write(descriptor, content[: len(content) // 2])
    kill(name, arguments)
