"""A program on the other side of two pipes: lines to it, lines from it, and its end, whatever it does.

It has a process group of its own, which is killed with it. It cannot hold the judge up: not by silence, not by closing
its stdout, not through a child that keeps the pipe open, not with a line without end.
"""

import os
import queue
import signal
import subprocess
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, NoReturn

from elt_ref.conformance.failures import BackendFailure

LONGEST = 2**20
"""Bytes that a line may have; arrays travel in files."""
UNREAD = 16
"""Lines that a program may be ahead of the judge; it must not be ahead at all."""
PULSE = 0.1
"""Seconds between two looks at whether a silent program still lives."""


class Program:
    """A running program."""

    def __init__(self, command: Sequence[str]) -> None:
        self.process = subprocess.Popen(  # noqa: S603  the command is the user's own
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self.lines: queue.Queue[bytes | ValueError | None] = queue.Queue()
        # The thread may not refer to this object, or nobody would ever end a forgotten program.
        threading.Thread(target=_listen, args=(self.process.stdout, self.lines), daemon=True).start()
        self.kill = weakref.finalize(self, _kill, self.process)
        """End the program and its children at once."""

    def ask(self, line: str, seconds: float) -> str:
        """Say a line and return the next one.

        Raises:
            TimeoutError: there is none in time, or there can be none because stdout is closed.
            BackendFailure: the program died.
            ValueError: it is no line.
        """
        self._say(line)
        until = time.monotonic() + seconds
        while True:
            left = until - time.monotonic()
            try:
                heard = self.lines.get(timeout=max(0.0, min(PULSE, left)))
            except queue.Empty:
                if self.process.poll() is not None:
                    heard = self._last_words()
                elif left <= 0:
                    raise TimeoutError(f"no answer within {seconds:g} s") from None
                else:
                    continue
            if heard is None:
                self._explain(seconds)
            if isinstance(heard, ValueError):
                raise heard
            try:
                return heard.decode("utf-8")
            except UnicodeDecodeError:
                raise ValueError(f"expected a line in UTF-8, got {heard[:40]!r}") from None

    def end(self, line: str, seconds: float) -> int | None:
        """Say the last line; return the exit code, or None if the program goes on. Its children are killed."""
        self._say(line)
        with suppress(OSError):
            _stdin(self.process).close()
        try:
            return self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self.kill()

    def _say(self, line: str) -> None:
        with suppress(OSError):  # its death is noticed where its answer is awaited
            _stdin(self.process).write(line.encode() + b"\n")
            _stdin(self.process).flush()

    def _last_words(self) -> bytes | ValueError | None:
        """Return the line that a dead program may still have written; a child of it may keep the pipe open."""
        _signal_group(self.process)
        try:
            return self.lines.get(timeout=1.0)
        except queue.Empty:
            return None

    def _explain(self, seconds: float) -> NoReturn:
        try:
            code = self.process.wait(timeout=min(1.0, seconds))
        except subprocess.TimeoutExpired:
            raise TimeoutError("no answer: the program closed its stdout and goes on") from None
        raise BackendFailure(f"the program died (exit code {code}) without answering")


def _stdin(process: "subprocess.Popen[bytes]") -> IO[bytes]:
    assert process.stdin is not None, "it is a pipe"  # noqa: S101
    return process.stdin


def _listen(pipe: IO[bytes], lines: "queue.Queue[bytes | ValueError | None]") -> None:
    """Put every line of a pipe into a queue, and None at its end."""
    rest = b""
    with pipe:
        while piece := os.read(pipe.fileno(), 2**16):
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                lines.put(line)
            if len(rest) > LONGEST or lines.qsize() > UNREAD:
                much = f"lines of at most {LONGEST} bytes, one for each question"
                lines.put(ValueError(f"expected {much}, got more"))
                return
    if rest:
        lines.put(rest + b"<no end of line>")
    lines.put(None)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    _signal_group(process)
    process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5.0)
    with suppress(OSError):  # the pipe may be broken with unwritten output
        _stdin(process).close()


def _signal_group(process: "subprocess.Popen[bytes]") -> None:
    if os.name == "posix":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
