"""A Python backend as a program that speaks JSON lines: ``python -m elt_ref.conformance.serve NAME``.

The judge starts it for every backend that it knows by name. Neither answers nor the judge are in this process. What the
backend prints goes to stderr.
"""

import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from safetensors import safe_open

from elt_ref.conformance.answers import tensors_of
from elt_ref.conformance.backend import Backend, Unsupported
from elt_ref.conformance.case import arguments
from elt_ref.conformance.description import checked
from elt_ref.conformance.failures import first_line, sentence
from elt_ref.conformance.layouts import lay_out
from elt_ref.conformance.perform import perform, undeclared
from elt_ref.conformance.protocol import Described, Refused, Reply
from elt_ref.errors import RequestError, nearest


def load_backend(name: str) -> Backend:
    """Import ``package.module:Backend`` (a class, a function without arguments, or an object) or ``file.py:Backend``.

    Raises:
        RequestError: the backend does not exist, or has no describe(); the judge puts the name before the sentence.
    """
    module_name, _, attribute = name.rpartition(":")
    try:
        module = _import(module_name)
    except FileNotFoundError as error:
        raise RequestError(f"expected a Python file, got {first_line(error)}") from error
    except BaseException as error:
        raise RequestError(f"expected a module that can be imported, got {sentence(error)}") from error
    if not hasattr(module, attribute):
        near = nearest(attribute, [word for word in vars(module) if not word.startswith("_")])
        raise RequestError(f"expected '{attribute}' in {module_name}, got none{near}")
    member = getattr(module, attribute)
    try:
        backend = member() if isinstance(member, type) or not hasattr(member, "describe") else member
    except BaseException as error:
        raise RequestError(f"expected something to call without arguments, got {sentence(error)}") from error
    if not isinstance(backend, Backend):
        raise RequestError("expected a method describe(), got an object without one")
    return backend


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


def _described(backend: Backend) -> Described:
    try:
        description = backend.describe()
    except BaseException as error:
        raise RequestError(f"describe: expected a description, got {sentence(error)}") from error
    description = checked(description)
    return Described(
        name=description.name,
        version=description.version,
        operations=list(description.operations),
        dtypes=list(description.dtypes),
        choices=dict(description.choices),
        undeclared=undeclared(backend, description.operations),
    )


def _answer(backend: Backend, call: Mapping[str, Any]) -> Reply:
    try:
        with safe_open(call["inputs"], framework="numpy") as file:
            inputs, layouts = {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118  it is no dict
        keywords = arguments(call["settings"], inputs, call["dtype"])
        lay_out(keywords, layouts)
        answer = perform(backend, call["operation"], keywords)
        Path(call["outputs"]).write_bytes(tensors_of(answer))
    except Unsupported as refusal:
        return Reply(id=call["id"], status="unsupported", message=first_line(refusal))
    except BaseException as error:  # noqa: BLE001  whatever a backend raises is its own error
        return Reply(id=call["id"], status="error", message=sentence(error))
    return Reply(id=call["id"], status="ok")


def _take_pipes() -> tuple[TextIO, TextIO]:
    """Return the judge's lines and the way to it; the backend's own stdin is empty, and its stdout is stderr."""
    heard, said = os.fdopen(os.dup(0), "r", encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return heard, said


def main(name: str) -> None:
    """Serve a backend by its name."""
    serve(lambda: load_backend(name))


def serve(load: Callable[[], Backend]) -> None:
    """Serve a backend until the judge says goodbye.

    Args:
        load: returns it, or raises `RequestError`; called when the judge has greeted.
    """
    heard, said = _take_pipes()
    backend = None
    for line in heard:
        message = json.loads(line)
        if message["type"] == "bye":
            break
        if message["type"] == "hello":
            try:
                backend = load()
                reply = _described(backend)
            except RequestError as error:
                reply = Refused(message=str(error))
        else:
            assert backend is not None, "the judge calls nobody who refused"  # noqa: S101
            reply = _answer(backend, message)
        said.write(reply.model_dump_json() + "\n")
        said.flush()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m elt_ref.conformance.serve NAME, which the judge starts")
    main(sys.argv[1])
