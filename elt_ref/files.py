"""Files that are whole or not there: written to a temporary name, flushed to the disk, renamed; and read whole."""

import os
from contextlib import suppress
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from elt_ref.errors import RequestError


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file, or leave what was there.

    A kill at any moment leaves the old file or the new one, and at most a hidden temporary file that the next write
    takes over. On any error the temporary file is removed.

    Args:
        path: in a folder that exists.
        content: all of it.

    Raises:
        RequestError: the place cannot be written to.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        got = error.strerror or str(error)
        raise RequestError(f"{path}: expected a file in a folder that can be written to, got {got}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a whole text file in UTF-8, or leave what was there; errors as `write_bytes`."""
    write_bytes(path, text.encode())


DTYPES = {"BOOL", "U8", "U16", "U32", "U64", "I8", "I16", "I32", "I64", "F16", "F32", "F64"}
"""As safetensors spells those that NumPy has by itself."""


def read_tensors(path: Path, what: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the tensors and the text metadata of a safetensors file.

    Raises:
        RequestError: it is missing, cut short, something else, or has a dtype NumPy lacks; begins with `what`.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            # NumPy learns others when a package that has them is loaded; what can be read must not depend on that.
            strange = {file.get_slice(name).get_dtype() for name in names} - DTYPES
            if not strange:
                return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
            error: Exception | str = f"a tensor of {min(strange)}, which NumPy lacks"
    except FileNotFoundError:
        raise RequestError(f"{what} {path}: expected a file, got none") from None
    except (OSError, SafetensorError) as caught:
        error = caught
    raise RequestError(f"{what} {path}: expected a whole safetensors file, got {error}")


def _flush_folder(folder: Path) -> None:
    """Flush a folder's entries, so that a rename in it survives a loss of power (where folders can be opened)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
