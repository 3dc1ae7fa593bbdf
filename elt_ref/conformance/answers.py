"""Files that pass a door: questions as safetensors on the way out; on the way in, files that nobody may trust.

An answer must be a regular file inside its folder, not larger than the question allows, with dtypes that NumPy has.
"""

import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import load, save

from elt_ref.conformance.case import Stored
from elt_ref.conformance.operations import TREES
from elt_ref.files import NUMPY_DTYPES

LEAST_ROOM = 2**24
"""Bytes that any answer may take."""


def flat(keywords: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays among arguments; arrays of trees have names ``TREE.NAME``."""
    result = {}
    for name, value in keywords.items():
        if isinstance(value, np.ndarray):
            result[name] = value
        elif name in TREES:
            result |= {f"{name}.{leaf}": array for leaf, array in value.items()}
    return result


def tensors_of(arrays: Mapping[str, Any], metadata: dict[str, str] | None = None) -> bytes:
    """Return arrays as the content of a safetensors file."""
    return save({name: np.array(array, order="C") for name, array in arrays.items()}, metadata)


def room(stored: Stored, inputs: Mapping[str, np.ndarray]) -> int:
    """Return the bytes that the answer to a question may take: much more than the right one needs."""
    heard = sum(array.nbytes for array in inputs.values())
    return LEAST_ROOM + 16 * heard + 64 * sum(math.prod(output.shape) for output in stored.outputs.values())


def read_answer(path: Path, folder: Path, most: int) -> dict[str, np.ndarray]:
    """Return the arrays of an answer.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not an acceptable answer.
    """
    content = read_inside(path, folder, most)
    try:
        dtypes = {name: tensor["dtype"] for name, tensor in deserialize(content)}
    except SafetensorError as error:
        raise ValueError(f"expected a safetensors file, got {error}") from error
    for name, dtype in dtypes.items():
        if dtype not in NUMPY_DTYPES:
            raise ValueError(f"expected '{name}' in a dtype that NumPy has, got {dtype}")
    return load(content)


def read_inside(path: Path, folder: Path, most: int) -> bytes:
    """Return the content of a regular file inside a folder; neither a FIFO nor an endless file can hold the reader up.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is larger than `most` bytes, no regular file, or outside of the folder.
    """
    real = Path(os.path.realpath(path))  # `Path.resolve` raises where links go in a circle
    if not real.is_relative_to(os.path.realpath(folder)):
        raise ValueError("expected a file inside the folder, got a link out of it")
    # Opening a FIFO would wait for a writer, and a link may have appeared since.
    descriptor = os.open(real, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("expected a regular file, got a folder, FIFO or device")
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"expected at most {most} bytes, got more")
    return content
