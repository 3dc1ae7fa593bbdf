"""The catalogue of datasets: shipped inside this package, or imported into the data home."""

from __future__ import annotations

import difflib
import os
import re
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tiny_datasets import bouncing_digits, emoji, moving_digits, shapes
from tiny_datasets.entries import found, is_folder
from tiny_datasets.errors import DatasetError
from tiny_datasets.plain_text import is_device
from tiny_datasets.stored import METADATA_FILE, TENSOR_FILE, read_dataset, write_dataset

if TYPE_CHECKING:
    from tiny_datasets.dataset import ClipDataset, Dataset, LatentDataset, PictureDataset, TokenDataset

HOME_VARIABLE = "ELT_REF_DATA"
DRAWN = {drawn.NAME: cache(drawn.draw_dataset) for drawn in (bouncing_digits, emoji, moving_digits, shapes)}
"""The shipped datasets that a process draws or unpacks at their first load; their folders hold no stored dataset."""

SHIPPED = ("digits", "photos", *DRAWN)
"""Names of the shipped datasets; each has a folder in this package."""

# Lower case only, so that two names never share a folder on a file system that ignores case.
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def data_home() -> Path:
    """Return the folder of imported datasets: the environment variable ``ELT_REF_DATA``, else ``~/.elt_ref/data``.

    Raises:
        DatasetError: If the variable is not set and the user has no home folder.
    """
    try:
        return Path(os.environ.get(HOME_VARIABLE) or "~/.elt_ref/data").expanduser()
    except RuntimeError as error:
        raise DatasetError(f"{HOME_VARIABLE} must name a folder when the user has no home, got none") from error


def names(home: str | os.PathLike[str] | None = None) -> list[str]:
    """Return the names of all datasets, shipped and imported, sorted.

    Args:
        home: The folder of imported datasets; `data_home()` when None. It need not exist.

    Raises:
        DatasetError: If the folder cannot be read.
    """
    folder = _home(home)
    try:
        imported = [entry.name for entry in folder.iterdir() if _holds_dataset(entry)] if is_folder(folder) else []
    except OSError as error:
        raise DatasetError(
            f"the data home {folder} must be a readable folder, got {error.strerror or error}"
        ) from error
    return sorted({*SHIPPED, *imported})


def dataset_folder(name: str, home: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of a dataset's files. Further files about the dataset can be kept there too.

    Args:
        name: A name out of `names`.
        home: The folder of imported datasets; `data_home()` when None.

    Raises:
        DatasetError: If there is no dataset of that name.
    """
    if name in SHIPPED:
        return Path(__file__).parent / name
    known = names(home)
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
        raise DatasetError(
            f"there must be a dataset {name!r} in {_home(home)}, got none; the nearest known name is '{nearest}', "
            "and 'elt-ref data list' shows them all"
        )
    return _home(home) / name


def load(
    name: str, home: str | os.PathLike[str] | None = None
) -> PictureDataset | ClipDataset | TokenDataset | LatentDataset:
    """Load a dataset.

    Args:
        name: A name out of `names`.
        home: The folder of imported datasets; `data_home()` when None.

    Returns:
        The dataset, its arrays read-only.

    Raises:
        DatasetError: If there is no dataset of that name, or its files are missing or damaged.
    """
    if name in DRAWN:
        return DRAWN[name]()
    return read_dataset(dataset_folder(name, home))


def check_new_name(name: str, home: str | os.PathLike[str] | None = None) -> None:
    """Refuse a name that a new dataset cannot have, and a data home that cannot take it, before anything is read.

    Raises:
        DatasetError: If the name is malformed or taken, or the data home is no folder to write to.
    """
    if not _NAME.fullmatch(name):
        raise DatasetError(
            "a dataset's name must be 1 to 64 lower-case letters, digits, '_' or '-' and start with a letter or digit, "
            f"got {name!r}"
        )
    if is_device(name):
        raise DatasetError(f"a dataset's name must be none that Windows keeps for a device, got {name!r}")
    if name in SHIPPED or os.path.lexists(_home(home) / name):
        where = "this package" if name in SHIPPED else _home(home)
        raise DatasetError(f"a new dataset's name must be free, got {name!r}, which already exists in {where}")
    folder = _home(home)
    place = next((each for each in (folder, *folder.parents) if os.path.lexists(each)), folder)
    if not is_folder(place) or not os.access(place, os.W_OK | os.X_OK):
        got = f"one without leave to write in {place}" if is_folder(place) else f"{found(place)} at {place}"
        raise DatasetError(f"the data home {folder} must be a folder to write to, got {got}")


def add(dataset: Dataset, home: str | os.PathLike[str] | None = None) -> None:
    """Store a new dataset, whole or not at all.

    Args:
        dataset: The dataset to store; its name must be free.
        home: The folder of imported datasets, created if missing; `data_home()` when None.

    Raises:
        DatasetError: If the name is malformed or taken, or the files cannot be written.
    """
    check_new_name(dataset.name, home)
    folder = _home(home)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Write under a hidden name on the same file system; the rename makes the whole dataset appear at once.
        with tempfile.TemporaryDirectory(prefix=".importing-", dir=folder) as workshop:
            draft = Path(workshop) / dataset.name
            draft.mkdir()
            write_dataset(draft, dataset)
            draft.rename(folder / dataset.name)
    except OSError as error:
        raise DatasetError(
            f"the data home {folder} must be a folder to write to, got {error.strerror or error}"
        ) from error


def _home(home: str | os.PathLike[str] | None) -> Path:
    return data_home() if home is None else Path(home)


def _holds_dataset(entry: Path) -> bool:
    """Return whether a folder is a dataset, even a damaged one."""
    files = (METADATA_FILE, TENSOR_FILE)
    if not _NAME.fullmatch(entry.name):
        return False
    try:
        return any((entry / file).is_file() for file in files)
    except OSError:
        return True  # a folder that cannot be searched; loading it says so
