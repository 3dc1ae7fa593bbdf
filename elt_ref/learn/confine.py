"""Limits on a process that runs a student's code: memory, time, and what it may do to files and to other processes.

This stops accidents and careless tricks. It is no wall against an attacker, whom only a container or another machine
keeps away.
"""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

try:
    import resource
except ImportError:  # a system that has no such limits
    resource = None

LIMITS = {"RLIMIT_AS": 2**31, "RLIMIT_CPU": 300, "RLIMIT_FSIZE": 2**22, "RLIMIT_CORE": 0, "RLIMIT_NPROC": 0}
"""Bytes of memory, seconds of computing, bytes of a file, such as what is printed, of a dump; more processes.

The last does not hold for root.
"""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
FORBIDDEN = {
    "a process": ("os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.exec", "os.system", "subprocess.Popen"),
    "a signal": ("os.kill", "os.killpg", "signal.pthread_kill"),
    "a thread": ("_thread.start_new_thread", "_thread.start_joinable_thread"),
    "a connection": ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"),
    "foreign code": ("ctypes.dlopen", "ctypes.dlsym"),
    "a change of files": (
        *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod"),
        *("os.chown", "os.setxattr", "os.removexattr", "os.utime", "shutil.rmtree", "shutil.move", "shutil.copyfile"),
    ),
}
"""What a submission is refused, and the events of Python that tell of it."""
REFUSED = {event: what for what, events in FORBIDDEN.items() for event in events}


class Confinement:
    """The limits of this process, which cannot be lifted again."""

    def __init__(self, printed: Path) -> None:
        """Set the limits; everything printed goes into the file `printed`, and stdin is whatever it is."""
        self.inside = False
        """Whether the student's code runs."""
        if resource is not None:
            for name, most in LIMITS.items():
                with suppress(AttributeError, OSError, ValueError):  # there is none here, or a lower one stands already
                    resource.setrlimit(getattr(resource, name), (most, most))
        out = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(out, 2)  # and stdout will be where stderr is
        os.close(out)
        sys.dont_write_bytecode = True
        warnings.simplefilter("ignore")
        np.seterr(all="ignore")
        sys.addaudithook(self._watch)

    @contextmanager
    def student(self) -> Iterator[None]:
        """Watch what the student's code does."""
        self.inside = True
        try:
            yield
        finally:
            self.inside = False
            sys.stdout.flush()

    def _watch(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.inside:
            return
        what = REFUSED.get(event)
        if event == "open" and isinstance(arguments[0], str | bytes) and arguments[2] & WRITING:
            what = None if os.fsdecode(arguments[0]) == os.devnull else "a file to write"
        if what is not None:
            raise PermissionError(f"expected a function that only computes, got {what} ({event})")
