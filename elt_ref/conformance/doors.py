"""Three ways to an implementation: a program that speaks JSON lines, a folder of answers, a Python object.

Expected answers never pass through a door: it receives the inputs of a vector and returns the backend's answer. A
Python backend that is known by name is a program too. An object in this process could read the answers and change the
judge, so that it is judged for its developers only, and wins no award.
"""

import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError

from elt_ref.conformance.answers import flat, read_answer, read_inside, room, tensors_of
from elt_ref.conformance.backend import Description, Unsupported
from elt_ref.conformance.case import Vector
from elt_ref.conformance.failures import BackendFailure, first_line, misread, sentence
from elt_ref.conformance.layouts import layout_of
from elt_ref.conformance.operations import TREES
from elt_ref.conformance.perform import perform, undeclared
from elt_ref.conformance.program import LONGEST, Program
from elt_ref.conformance.protocol import PROTOCOL, Bye, Call, Described, Hello, Refused, Reply
from elt_ref.errors import RequestError
from elt_ref.files import make_folder, write_bytes
from elt_ref.literal import visible
from elt_ref.text_files import text_of


class PythonDoor:
    """A backend in this process."""

    isolated = False

    def __init__(self, backend: Any, timeout: float = 60.0) -> None:
        self.backend, self.timeout = backend, timeout

    def describe(self) -> Any:
        """Return the backend's description.

        Raises:
            RequestError: the backend raises instead.
        """
        try:
            return self.backend.describe()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise RequestError(f"describe: expected a description, got {sentence(error)}") from error

    def undeclared(self) -> list[str]:
        """Return the operations that the backend implements but does not declare."""
        return undeclared(self.backend, tuple(self.describe().operations))

    def call(self, vector: Vector, dtype: str, keywords: dict[str, Any]) -> Mapping[str, np.ndarray]:  # noqa: ARG002  other doors need the dtype
        """Call the operation; it must leave its arguments unchanged."""
        try:
            with within(self.timeout):
                return perform(self.backend, vector.stored.operation, keywords)
        except (Exception, KeyboardInterrupt):
            raise
        except BaseException as error:  # such as SystemExit
            raise BackendFailure(sentence(error)) from error


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise TimeoutError after `seconds`; only in the main thread, and if the system has an alarm signal."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    started, handler = time.monotonic(), signal.signal(signal.SIGALRM, partial(_ring, seconds))
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        # Restore another alarm that was running, such as a test's.
        signal.setitimer(signal.ITIMER_REAL, left and max(1e-3, left - (time.monotonic() - started)))
        signal.signal(signal.SIGALRM, handler)


def _ring(seconds: float, *_: object) -> None:
    raise TimeoutError(f"no answer within {seconds:g} s")


BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
    "from elt_ref.conformance.serve import main; main(sys.argv[1])"
)
"""The program that serves a Python backend; it imports from the same places as the judge."""


def open_backend(name: str, timeout: float = 60.0) -> "ProcessDoor":
    """Start a process for ``package.module:Backend``, a class, function or object, or for ``file.py:Backend``.

    Raises:
        RequestError: the backend does not exist, has no describe(), or describes itself wrongly.
    """
    module_name, _, attribute = name.rpartition(":")
    if not module_name or not attribute:
        raise RequestError(f"backend: expected package.module:Backend or file.py:Backend, got '{name}'")
    # With -P a file of the current folder cannot stand in for a module of the standard library.
    door = ProcessDoor([sys.executable, "-P", "-c", BOOT, json.dumps(sys.path), name], timeout, what=f"backend {name}")
    door.describe()
    return door


MEMORY = Path("/dev/shm")  # noqa: S108  files there are memory; the folder made in it is private
START = 10.0
"""Seconds that every program has to start, whatever the timeout of an answer."""
DEATHS = 3
"""Deaths of a program in one operation after which the operation is not tried again."""


class NotAskedAgain(BackendFailure):
    """The operation timed out, or killed its program several times, before this question."""


class ProcessDoor:
    """A program that reads one JSON object per line and answers with one; tensors travel in safetensors files.

    The program is started once, and again after it died or was killed for a timeout.
    """

    isolated = True

    def __init__(self, command: str | Sequence[str], timeout: float = 60.0, what: str = "--exec") -> None:
        """Prepare a door; nothing is started yet.

        Args:
            command: the program and its arguments, in one text as a shell would split it, or apart.
            timeout: seconds for each answer.
            what: beginning of the sentences about the program.

        Raises:
            RequestError: the command is empty, or a quote in it is not closed.
        """
        try:
            self.command = shlex.split(command) if isinstance(command, str) else list(command)
        except ValueError as error:
            got = f"{command} ({first_line(error).lower()})"
            raise RequestError(f"{what}: expected a command with all quotes closed, got {got}") from error
        if not self.command:
            raise RequestError(f"{what}: expected a command, got nothing")
        self.timeout, self.what = timeout, what
        self.folder = Path(tempfile.mkdtemp(prefix="elt-conform-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self.program: Program | None = None
        self.described: Described | None = None
        self.number = 0
        self.silent: dict[str, str] = {}
        """The operations that are not tried again, and why."""
        self.deaths: Counter[str] = Counter()

    def describe(self) -> Description:
        """Greet the program, unless it has been greeted, and return its description.

        Raises:
            RequestError: the program cannot be started, refuses, or does not follow the protocol.
        """
        try:
            if self.described is None:
                self.described = self._start()
        except RequestError:
            raise
        except Exception as error:
            raise RequestError(f"{self.what}: expected a description, got {first_line(error)}") from error
        return _description(self.described)

    def undeclared(self) -> list[str]:
        """Return the operations that the program implements but does not declare, if it says so."""
        return [] if self.described is None else self.described.undeclared

    def call(self, vector: Vector, dtype: str, keywords: dict[str, Any]) -> Mapping[str, np.ndarray]:
        """Call the program. Its death, silence or a malformed line is an error; the program is started again."""
        operation = vector.stored.operation
        if operation in self.silent:
            raise NotAskedAgain(f"{operation} is not asked again: {self.silent[operation]}")
        self.number += 1
        inputs, outputs = (self.folder / f"{self.number}.{way}.safetensors" for way in ("in", "out"))
        arrays = flat(keywords)
        layouts = {name: layout for name, array in arrays.items() if (layout := layout_of(array)) is not None}
        settings = {name: value for name, value in keywords.items() if name not in TREES and name not in arrays}
        try:
            # Empty metadata without tensors would make a header that cannot be read.
            inputs.write_bytes(tensors_of(arrays, layouts or None))
            self._ask(
                Call(
                    id=self.number,
                    operation=operation,
                    dtype=dtype,
                    settings=settings,
                    inputs=str(inputs),
                    outputs=str(outputs),
                )
            )
            return _read(outputs, self.folder, room(vector.stored, arrays))
        finally:
            for path in (inputs, outputs):
                with suppress(OSError):
                    path.unlink()

    def close(self) -> None:
        """Say goodbye; the program must end by itself, with exit code 0.

        Raises:
            RuntimeError: the program did not.
        """
        program, self.program = self.program, None
        if program is None:
            return
        code = program.end(Bye().model_dump_json(), min(self.timeout, 10.0))
        if code != 0:
            got = "none" if code is None else code
            raise RuntimeError(f"expected the program to end with exit code 0 after 'bye', got {got}")

    def _start(self) -> Described:
        self.program = Program(self.command)
        try:
            line = self.program.ask(Hello(protocol=PROTOCOL).model_dump_json(), max(self.timeout, START))
            return _described(self.what, line)
        except BaseException:
            self._kill()
            raise

    def _ask(self, call: Call) -> None:
        """Return once the program has answered the call.

        Raises:
            Unsupported: the program refuses.
            Exception: it answers with an error, or not as it should.
        """
        try:
            if self.program is None:
                self._start()
            assert self.program is not None, "it has been started"  # noqa: S101
            reply = _reply(call.id, self.program.ask(call.model_dump_json(), self.timeout))
        except BaseException as error:
            self._kill()
            self.deaths[call.operation] += isinstance(error, BackendFailure)
            if isinstance(error, TimeoutError) or self.deaths[call.operation] == DEATHS:
                self.silent[call.operation] = first_line(error)
            raise
        message = reply.message or "the backend gave no reason"
        if reply.status == "unsupported":
            raise Unsupported(message)
        if reply.status == "error":
            raise BackendFailure(message)

    def _kill(self) -> None:
        if self.program is not None:
            self.program.kill()
        self.program = None


def _described(what: str, line: str) -> Described:
    with suppress(ValidationError):
        refusal = Refused.model_validate_json(line)
        raise RequestError(f"{what}: {visible(refusal.message)}")
    return _parsed(Described, line)


def _reply(number: int, line: str) -> Reply:
    reply = _parsed(Reply, line)
    if reply.id != number:
        raise ValueError(f"expected the reply to call {number}, got one to {reply.id}")
    return reply


Message = TypeVar("Message", Described, Reply)


def _parsed(kind: type[Message], line: str) -> Message:
    """Return the message on a line; ValueError says in a sentence what is wrong with it."""
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        no_json = error.errors()[0]["type"] == "json_invalid"
        hint = "; stdout is for the protocol, stderr is free" if no_json else ""
        raise ValueError(f"{kind.__name__.lower()}: {misread(error, 'the line')}{hint}") from None


def _read(path: Path, folder: Path, most: int) -> dict[str, np.ndarray]:
    try:
        return read_answer(path, folder, most)
    except OSError as error:
        raise ValueError(f"expected a safetensors file at 'outputs', got {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"outputs: {error}") from error


def _description(described: Described) -> Description:
    return Description(
        described.name, described.version, tuple(described.operations), tuple(described.dtypes), described.choices
    )


class FilesDoor:
    """A folder of answers: ``DTYPE/CLAUSE/SLUG.safetensors``, and ``description.json``."""

    isolated = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def describe(self) -> Description:
        """Read ``description.json``.

        Raises:
            RequestError: the file is missing or wrong.
        """
        path = self.folder / "description.json"
        try:
            text = text_of(read_inside(path, self.folder, LONGEST))
            described = Described.model_validate_json(text)
        except OSError as error:
            raise RequestError(f"{path}: expected the description of a backend, got {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise RequestError(f"{path}: expected text in UTF-8, got {error.object[error.start :][:20]!r}") from error
        except ValidationError as error:
            raise RequestError(f"{path}: {misread(error, 'the file')}") from None
        except ValueError as error:
            raise RequestError(f"{path}: {error}") from error
        return _description(described)

    def call(self, vector: Vector, dtype: str, keywords: dict[str, Any]) -> Mapping[str, np.ndarray]:  # noqa: ARG002  the dtype is part of the path
        """Read the answer."""
        name = f"{dtype}/{vector.id}.safetensors"
        try:
            return read_answer(self.folder / name, self.folder, room(vector.stored, vector.inputs))
        except OSError as error:
            raise FileNotFoundError(f"expected the answer {name}, got {error.strerror}") from error
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error


def export(vectors: list[Vector], folder: Path) -> None:
    """Write every question without its answer: ``questions/DTYPE/CLAUSE/SLUG.json`` and ``.safetensors``.

    Raises:
        RequestError: the folder cannot be written to.
    """
    for vector in vectors:
        stored = vector.stored
        for dtype in stored.tolerance:
            place = folder / "questions" / dtype / stored.clause
            make_folder(place)
            write_bytes(place / f"{stored.slug}.safetensors", tensors_of(flat(vector.arguments(dtype))))
            outputs = {
                name: {"shape": output.shape, "dtype": _answer_dtype(output.dtype, dtype)}
                for name, output in stored.outputs.items()
            }
            question = {
                "id": vector.id,
                "operation": stored.operation,
                "dtype": dtype,
                "choice": stored.choice,
                "settings": stored.settings,
                "answer": f"{dtype}/{vector.id}.safetensors",
                "outputs": outputs,
            }
            write_bytes(place / f"{stored.slug}.json", (json.dumps(question, indent=1) + "\n").encode())


def _answer_dtype(stored: str, dtype: str) -> str:
    return dtype if stored == "float64" else stored
