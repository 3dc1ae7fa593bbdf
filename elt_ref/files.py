"""Files are written whole or not at all: to a temporary name, flushed to the disk, renamed; and read whole."""

import os
from contextlib import suppress
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from elt_ref.errors import RequestError, first_words


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file, or leave the old one.

    A kill at any moment leaves the old file or the new one, and at most a hidden temporary file that the next write
    reuses. On any error the temporary file is removed.

    Args:
        path: a file in a folder that exists.
        content: the whole content.

    Raises:
        RequestError: the file cannot be written.
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
    """Write a whole text file in UTF-8, or leave the old one; raises as `write_bytes` does."""
    write_bytes(path, text.encode())


NUMPY_DTYPES = {"BOOL", "U8", "U16", "U32", "U64", "I8", "I16", "I32", "I64", "F16", "F32", "F64"}
"""The dtypes that NumPy has by itself, as safetensors spells them."""


def read_tensors(path: Path, what: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the tensors and the text metadata of a safetensors file.

    Raises:
        RequestError: the file is missing, truncated, something else, or has a dtype NumPy lacks; the sentence begins
            with `what`.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            # Other packages add dtypes to NumPy when loaded; reading must not depend on that.
            strange = {file.get_slice(name).get_dtype() for name in names} - NUMPY_DTYPES
            if not strange:
                return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
            error: Exception | str = f"a tensor of {min(strange)}, which NumPy lacks"
    except FileNotFoundError:
        raise RequestError(f"{what} {path}: expected a file, got none") from None
    except (OSError, SafetensorError) as caught:
        error = caught
    raise RequestError(f"{what} {path}: expected a whole safetensors file, got {first_words(error)}")


def _flush_folder(folder: Path) -> None:
    """Flush a folder's entries, so that a rename survives a power loss (on systems that can open folders)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
