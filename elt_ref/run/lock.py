"""A run folder has one writer: a lock that ends with its process, however that ends."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from elt_ref.errors import RequestError

LOCK = ".lock"
"""File that the writer of a folder holds; it names the process."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder that exists.

    The system frees the lock when the process ends, also after SIGKILL: a file that such an end leaves hinders nobody.
    Where the file system has no locks, as on some networks, nothing is locked.

    Raises:
        RequestError: another process writes into the folder, or the file cannot be written.
    """
    path = folder / LOCK
    descriptor = _hold(path)
    try:
        yield
    finally:
        with suppress(OSError):
            os.unlink(path)  # noqa: PTH108  before the lock is freed, so that nobody else's file is removed
        with suppress(OSError):
            os.close(descriptor)


def _hold(path: Path) -> int:
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise RequestError(
                f"{path.parent}: expected a folder that can be written to, got {error.strerror}"
            ) from error
        if not _lock(descriptor):
            holder = _holder(descriptor)
            os.close(descriptor)
            raise RequestError(
                f"{path.parent}: expected a folder that no other process writes into, got one in use by {holder}"
            )
        # The holder before may have removed the file between our opening and our locking it.
        if _is_there(path, descriptor):
            with suppress(OSError):  # on a full disk the lock holds all the same, without a name
                os.truncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()}\n".encode())
            return descriptor
        os.close(descriptor)


def _is_there(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _holder(descriptor: int) -> str:
    with suppress(OSError, ValueError):
        return f"process {int(os.read(descriptor, 32))}"
    return "another process"


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        """Return whether the lock is ours, or the file system has none."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True
