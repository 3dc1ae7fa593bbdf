"""Three ways to an implementation: a Python object, a program that speaks JSON lines, a folder of answers.

Expected answers never pass through a door: it receives the inputs of a vector and returns the backend's answer.
"""

import importlib
import importlib.util
import json
import queue
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from elt_ref.conformance.backend import Backend, Description, Unsupported
from elt_ref.conformance.case import TREES, Vector, arguments
from elt_ref.conformance.protocol import PROTOCOL, Call, Described, Hello, Reply, reply_of
from elt_ref.errors import RequestError, nearest
from elt_ref.files import write_bytes


class PythonDoor:
    """A backend in this process."""

    def __init__(self, backend: Any, timeout: float = 60.0) -> None:
        self.backend, self.timeout = backend, timeout

    def describe(self) -> Any:
        """Return the backend's description."""
        return self.backend.describe()

    def call(self, vector: Vector, dtype: str, keywords: dict[str, Any]) -> Mapping[str, np.ndarray]:  # noqa: ARG002  other doors need the dtype
        """Call the operation; it must leave its arguments unchanged."""
        operation = getattr(self.backend, vector.stored.operation, None)
        if operation is None:
            raise Unsupported(f"no method {vector.stored.operation}")
        before = {name: value.copy() for name, value in flat(keywords).items()}
        with within(self.timeout):
            answer = operation(**keywords)
        if not isinstance(answer, Mapping):
            raise TypeError(f"expected a dict of arrays by name, got {type(answer).__name__}")
        for name, value in answer.items():
            if not isinstance(value, np.ndarray | np.generic):
                raise TypeError(f"expected '{name}' to be an array, got {type(value).__name__}")
        changed = [name for name, value in flat(keywords).items() if not np.array_equal(value, before[name])]
        if changed:
            raise ValueError(f"expected the arguments to be left alone, got another '{changed[0]}'")
        return answer


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise TimeoutError after `seconds`; only in the main thread, and if the system has an alarm signal."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: object) -> None:
        raise TimeoutError(f"no answer within {seconds:g} s")

    started, handler = time.monotonic(), signal.signal(signal.SIGALRM, ring)
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        # Restore another alarm that was running, such as a test's.
        signal.setitimer(signal.ITIMER_REAL, left and max(1e-3, left - (time.monotonic() - started)))
        signal.signal(signal.SIGALRM, handler)


def open_backend(name: str, timeout: float = 60.0) -> PythonDoor:
    """Import ``package.module:Backend`` (a class, a function without arguments, or an object) or ``file.py:Backend``.

    Raises:
        RequestError: the backend does not exist, or has no describe().
    """
    module_name, colon, attribute = name.rpartition(":")
    if not colon or not module_name or not attribute:
        raise RequestError(f"backend: expected package.module:Backend or file.py:Backend, got '{name}'")
    try:
        module = _import(module_name)
    except FileNotFoundError as error:
        raise RequestError(f"backend {name}: expected a Python file, got {error}") from error
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"
        raise RequestError(f"backend {name}: expected a module that can be imported, got {reason}") from error
    if not hasattr(module, attribute):
        near = nearest(attribute, [word for word in vars(module) if not word.startswith("_")])
        raise RequestError(f"backend {name}: expected '{attribute}' in {module_name}, got none{near}")
    member = getattr(module, attribute)
    try:
        backend = member() if isinstance(member, type) or not hasattr(member, "describe") else member
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"
        raise RequestError(f"backend {name}: expected something to call without arguments, got {reason}") from error
    if not isinstance(backend, Backend):
        raise RequestError(f"backend {name}: expected a method describe(), got an object without one")
    return PythonDoor(backend, timeout)


def _import(module_name: str) -> Any:
    path = Path(module_name)
    if path.suffix != ".py":
        sys.path.insert(0, "")  # as in `python -m`: modules of the current folder can be imported
        return importlib.import_module(module_name)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up
    sys.path.insert(0, str(path.resolve().parent))
    spec.loader.exec_module(module)
    return module


class ProcessDoor:
    """A program that reads one JSON object per line and answers with one; tensors travel in safetensors files.

    The program is started once, and again after it died or was killed for a timeout.
    """

    def __init__(self, command: str, timeout: float = 60.0) -> None:
        self.command, self.timeout = shlex.split(command), timeout
        if not self.command:
            raise RequestError("--exec: expected a command, got nothing")
        self.folder = tempfile.TemporaryDirectory(prefix="elt-conform-")
        self.process: subprocess.Popen[str] | None = None
        self.lines: queue.Queue[str | None] = queue.Queue()
        self.number = 0
        self.silent: set[str] = set()
        """Operations that timed out and are not tried again."""

    def describe(self) -> Description:
        """Greet the program and return its description.

        Raises:
            RequestError: the program cannot be started, or does not follow the protocol.
        """
        try:
            self._start()
            described = self._ask(Hello(protocol=PROTOCOL), Described)
        except Exception as error:
            self._kill()
            self.folder.cleanup()
            raise RequestError(f"--exec {shlex.join(self.command)}: expected a description, got {error}") from error
        return Description(
            described.name, described.version, tuple(described.operations), tuple(described.dtypes), described.choices
        )

    def call(self, vector: Vector, dtype: str, keywords: dict[str, Any]) -> Mapping[str, np.ndarray]:
        """Call the program. Its death, silence or a malformed line is an error; the program is started again."""
        if vector.stored.operation in self.silent:
            raise TimeoutError(f"{vector.stored.operation} already failed to answer within {self.timeout:g} s")
        if self.process is None:
            self._start()
            self._ask(Hello(protocol=PROTOCOL), Described)
        self.number += 1
        place = Path(self.folder.name)
        tensors, answer = place / f"{self.number}.in.safetensors", place / f"{self.number}.out.safetensors"
        arrays = flat(keywords)
        write_bytes(tensors, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))
        settings = {name: value for name, value in keywords.items() if name not in TREES and name not in arrays}
        call = Call(
            id=self.number,
            operation=vector.stored.operation,
            dtype=dtype,
            settings=settings,
            inputs=str(tensors),
            outputs=str(answer),
        )
        try:
            reply = self._ask(call, Reply)
        except Exception as error:
            if isinstance(error, TimeoutError):
                self.silent.add(vector.stored.operation)
            self._kill()
            raise
        finally:
            tensors.unlink(missing_ok=True)
        if reply.id != self.number:
            self._kill()
            raise ValueError(f"expected the reply to call {self.number}, got one to {reply.id}")
        if reply.status == "unsupported":
            raise Unsupported(reply.message or "no reason given")
        if reply.status == "error":
            raise RuntimeError(reply.message or "the backend reported an error without words")
        try:
            return load(answer.read_bytes())
        except (OSError, SafetensorError) as error:
            raise ValueError(f"expected a safetensors file at 'outputs', got {error}") from error
        finally:
            answer.unlink(missing_ok=True)

    def close(self) -> None:
        """Say goodbye; the program must end by itself, with exit code 0.

        Raises:
            RuntimeError: the program did not.
        """
        process, code = self.process, 0
        if process is not None and process.stdin is not None:
            try:
                process.stdin.write('{"type": "bye"}\n')
                process.stdin.close()
                code = process.wait(timeout=min(self.timeout, 10.0))
            except (OSError, ValueError, subprocess.TimeoutExpired):
                code = -1
            self._kill()
        self.folder.cleanup()
        if code != 0:
            raise RuntimeError(f"expected the program to end with exit code 0 after 'bye', got {code}")

    def _start(self) -> None:
        self.process = subprocess.Popen(  # noqa: S603  the command is the user's own
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", bufsize=1
        )
        self.lines = queue.Queue()
        threading.Thread(target=_read_lines, args=(self.process.stdout, self.lines), daemon=True).start()

    def _ask(self, message: Any, kind: Any) -> Any:
        process = self.process
        if process is None or process.stdin is None:
            raise RuntimeError("the program is not running")
        try:
            process.stdin.write(message.model_dump_json() + "\n")
            process.stdin.flush()
            line = self.lines.get(timeout=self.timeout)
        except queue.Empty:
            raise TimeoutError(f"no answer within {self.timeout:g} s") from None
        except OSError:
            line = None
        if line is None:
            raise RuntimeError(f"the program died (exit code {process.wait(timeout=10)}) without answering")
        try:
            return reply_of(kind, line)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "the line"
            hint = "; stdout is for the protocol, stderr is free" if first["type"] == "json_invalid" else ""
            said = repr(first["input"])[:80]
            raise ValueError(f"{kind.__name__.lower()}: {place}: {first['msg'].lower()}, got {said}{hint}") from None

    def _kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    with suppress(OSError):  # the pipe may be broken with unwritten output
                        pipe.close()
        self.process = None


def _read_lines(pipe: Any, lines: "queue.Queue[str | None]") -> None:
    try:
        for line in pipe:
            lines.put(line if line.endswith("\n") else f"{line}<no end of line>")
    except ValueError:  # closed during a read
        pass
    lines.put(None)


def flat(keywords: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays among arguments; arrays of trees have names ``TREE.NAME``."""
    result = {}
    for name, value in keywords.items():
        if isinstance(value, np.ndarray):
            result[name] = value
        elif name in TREES:
            result |= {f"{name}.{leaf}": array for leaf, array in value.items()}
    return result


class FilesDoor:
    """A folder of answers: ``DTYPE/CLAUSE/SLUG.safetensors``, and ``description.json``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def describe(self) -> Description:
        """Read ``description.json``.

        Raises:
            RequestError: the file is missing or wrong.
        """
        path = self.folder / "description.json"
        try:
            described = Described.model_validate_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise RequestError(f"{path}: expected the description of a backend, got {error.strerror}") from error
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "the file"
            raise RequestError(f"{path}: {place}: {first['msg'].lower()}, got {str(first['input'])[:80]!r}") from None
        return Description(
            described.name, described.version, tuple(described.operations), tuple(described.dtypes), described.choices
        )

    def call(self, vector: Vector, dtype: str, keywords: dict[str, Any]) -> Mapping[str, np.ndarray]:  # noqa: ARG002  the dtype is part of the path
        """Read the answer."""
        path = self.folder / dtype / f"{vector.id}.safetensors"
        try:
            return load(path.read_bytes())
        except OSError as error:
            raise FileNotFoundError(
                f"expected the answer {path.relative_to(self.folder)}, got {error.strerror}"
            ) from error
        except SafetensorError as error:
            raise ValueError(f"expected a safetensors file in {path.relative_to(self.folder)}, got {error}") from error


def export(vectors: list[Vector], folder: Path) -> None:
    """Write every question without its answer: ``questions/DTYPE/CLAUSE/SLUG.json`` and ``.safetensors``.

    Raises:
        RequestError: the folder is not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise RequestError(f"{folder}: expected a new or empty folder, got one with files")
    for vector in vectors:
        stored = vector.stored
        for dtype in stored.tolerance:
            place = folder / "questions" / dtype / stored.clause
            place.mkdir(parents=True, exist_ok=True)
            keywords = arguments(stored.settings, vector.inputs, dtype)
            arrays = {name: np.ascontiguousarray(array) for name, array in flat(keywords).items()}
            write_bytes(place / f"{stored.slug}.safetensors", save(arrays))
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
