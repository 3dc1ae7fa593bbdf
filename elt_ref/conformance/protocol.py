"""The JSON lines between the judge and a program: one object per line, strictly in turn; stderr is free.

    judge    {"type": "hello", "protocol": 1}
    program  {"type": "description", "name": …, "version": …, "operations": […], "dtypes": […], "choices": {…}}
             {"type": "refused", "message": …}               instead, if there is nothing to judge
    judge    {"type": "call", "id": 1, "operation": …, "dtype": …, "settings": {…}, "inputs": PATH, "outputs": PATH}
    program  {"type": "reply", "id": 1, "status": "ok"}              after writing the file at `outputs`
             {"type": "reply", "id": 1, "status": "unsupported", "message": …}
             {"type": "reply", "id": 1, "status": "error", "message": …}
    judge    {"type": "bye"}                                         the program ends with exit code 0

`inputs` and `outputs` are safetensors files; tensors of a tree have names ``parameters.NAME``. The
metadata of `inputs` may name memory layouts, which only the server of Python backends needs. Every line is validated.
"""

from typing import Any, Literal

from pydantic import Field

from elt_ref.conformance.strict import Strict

PROTOCOL = 1


class Hello(Strict):
    """The judge's first line."""

    type: Literal["hello"] = "hello"
    protocol: Literal[1]


class Described(Strict):
    """A program's description of itself; also the file ``description.json`` of a folder of answers."""

    type: Literal["description"] = "description"
    name: str
    version: str
    operations: list[str]
    dtypes: list[str]
    choices: dict[str, str] = Field(default={})
    undeclared: list[str] = Field(default=[])
    """Operations that it implements but leaves out of `operations`; ``conform smoke`` names them."""


class Refused(Strict):
    """A program's reason why it cannot be judged, in the place of a description."""

    type: Literal["refused"] = "refused"
    message: str


class Call(Strict):
    """One question."""

    type: Literal["call"] = "call"
    id: int
    operation: str
    dtype: str
    settings: dict[str, Any]
    inputs: str
    """Path of the safetensors file to read."""
    outputs: str
    """Path of the safetensors file to write."""


class Reply(Strict):
    """The answer to a call."""

    type: Literal["reply"] = "reply"
    id: int
    """Id of the call."""
    status: Literal["ok", "unsupported", "error"]
    message: str | None = None


class Bye(Strict):
    """The judge's last line."""

    type: Literal["bye"] = "bye"
