"""Letting the process keep the memory it frees.

Every step of training makes and drops the same few hundred arrays of a megabyte or so. The C library of Linux gives
each back to the system and asks for it anew, page by page: some 12,000 page faults a step of `digits-masked`, about a
third of its time. Told to keep what is freed, there are none.
"""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Options of mallopt(3)."""
_LARGEST = 1 << 30


def keep_freed_memory() -> None:
    """Tell the C library to reuse freed blocks below 1 GiB; does nothing where it has no `mallopt`.

    A setting of the whole process, so the commands make it, and the library does not.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST)
        mallopt(_TRIM_THRESHOLD, _LARGEST)
