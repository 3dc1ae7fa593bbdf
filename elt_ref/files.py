"""Files are written whole or not at all: to a temporary name, flushed to the disk, renamed; and read whole."""

import errno
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from elt_ref.errors import RequestError, first_words


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file, or leave the old one. A link stays, and what it names is written.

    A kill at any moment leaves the old file or the new one, and at most a hidden temporary file that the next write
    reuses. On any error the temporary file is removed.

    Args:
        path: a file in a folder that exists.
        content: the whole content.

    Raises:
        RequestError: the file cannot be written.
    """
    place, temporary = _places(path)
    try:
        _write(temporary, content)
        os.replace(temporary, place)  # noqa: PTH105  each call is one of `os`: tests kill and fail between any two
        _flush_folder(place.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108


def write_text(path: Path, text: str) -> None:
    """Write a whole text file in UTF-8, or leave the old one; raises as `write_bytes` does."""
    write_bytes(path, text.encode())


def check_file(path: Path) -> None:
    """Check that `write_bytes` can write a file, before the work whose result it will hold; leave nothing behind.

    Raises:
        RequestError: the file cannot be written.
    """
    _, temporary = _places(path)
    try:
        _write(temporary, b"")
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108


def real(path: Path) -> Path:
    """Return what a path names behind every link; links in a circle stay.

    Raises:
        RequestError: it is relative, and the working folder is gone.
    """
    try:
        return Path(os.path.realpath(path))
    except OSError as error:
        raise RequestError(f"{path}: expected a working folder to start from, got {error.strerror}") from error


def check_apart(output: Path, inputs: Iterable[Path]) -> None:
    """Check that what will be written over is nothing that was asked to be read, also through a link.

    Raises:
        RequestError: the output is one of the inputs.
    """
    for each in inputs:
        if real(output) == real(each):
            raise RequestError(f"{output}: expected another file than the input {each}, got the same")


def make_folder(folder: Path) -> list[Path]:
    """Make a folder that files can be written to, with its parents; return those that are new, the deepest first.

    Raises:
        RequestError: the folder cannot be made or written to.
    """
    new = [each for each in (folder, *folder.parents) if not os.path.lexists(each)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        got = error.strerror or str(error)
        raise RequestError(f"{folder}: expected a folder that can be written to, got {got}") from error
    try:
        check_file(folder / "probe")
    except RequestError:
        _remove_empty(new)
        raise
    return new


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make a folder as `make_folder` does; if the work inside fails, remove what is new and still empty.

    Raises:
        RequestError: the folder cannot be made or written to.
    """
    new = make_folder(folder)
    try:
        yield
    except BaseException:
        _remove_empty(new)
        raise


@contextmanager
def filled_folder(folder: Path) -> Iterator[None]:
    """Make a folder as `make_folder` does, to be filled at once; if the work inside fails, nothing of it stays.

    Raises:
        RequestError: the folder has files, or cannot be made or written to.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise RequestError(f"{folder}: expected a new or empty folder, got one with files")
    with made_folder(folder):
        try:
            yield
        except BaseException:
            for each in folder.iterdir():
                if each.is_dir():
                    shutil.rmtree(each, ignore_errors=True)
                else:
                    each.unlink(missing_ok=True)
            raise


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders up to the first that is not empty."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _places(path: Path) -> tuple[Path, Path]:
    """Return where the content goes and the temporary file beside it.

    Raises:
        RequestError: something else stands there: a folder, a device, a pipe.
    """
    place = real(path)
    try:
        mode = place.stat().st_mode
    except OSError:
        mode = stat.S_IFREG  # none yet; what else is wrong, writing will tell
    if not stat.S_ISREG(mode):
        got = "Is a directory" if stat.S_ISDIR(mode) else "a device or a pipe"
        raise RequestError(f"{path}: expected a file in a folder that can be written to, got {got}")
    return place, place.with_name(f".{place.name}.tmp")


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o666)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)  # which may fail where a quota or a network is only looked at here


def _unwritable(path: Path, error: OSError) -> RequestError:
    got = error.strerror or str(error)
    return RequestError(f"{path}: expected a file in a folder that can be written to, got {got}")


def _flush_folder(folder: Path) -> None:
    """Flush a folder's entries, so that a rename survives a power loss (on systems that can open folders)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot, and do not need it
            raise
    finally:
        os.close(descriptor)


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
