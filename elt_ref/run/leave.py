"""Ctrl-C while a command is being loaded: there is nothing to save yet, and the process ends without a word."""

import os
import signal
from types import FrameType


def leave(_number: int, _frame: FrameType | None) -> None:
    """End the process at once: an exception inside an import can be swallowed, or becomes another."""
    os._exit(128 + signal.SIGINT)


def leave_on_ctrl_c() -> None:
    """Let Ctrl-C end the process, until `signals_interrupt` takes over; where it is ignored, it stays ignored."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, leave)
