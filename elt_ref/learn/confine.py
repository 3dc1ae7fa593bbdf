"""Limits on a process that runs a student's code: memory, time, and what it may do to files and to other processes.

This stops accidents and careless tricks. It is no wall against an attacker, whom only a container or another machine
keeps away.
"""

import os
import resource
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

MEMORY = 2**31
"""Bytes of address space."""
CPU_SECONDS = 300
"""Seconds of computing, whatever the timeout of an answer."""
PRINTED = 2**22
"""Bytes that any file may have: what is printed, and the answers, which are small."""
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
        for number, most in (
            (resource.RLIMIT_AS, MEMORY),
            (resource.RLIMIT_CPU, CPU_SECONDS),
            (resource.RLIMIT_FSIZE, PRINTED),
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_NPROC, 0),  # no more processes, unless this is root's
        ):
            with suppress(OSError, ValueError):  # a lower limit stands already, or the system has none
                resource.setrlimit(number, (most, most))
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
