"""`dataset.json`, the human-readable half of a stored dataset."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from tiny_datasets.entries import found, is_file
from tiny_datasets.errors import DatasetError
from tiny_datasets.plain_text import cut, decoded, is_plain, reason

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = 1
"""The version of the format; a reader refuses every other."""

LEAST, MOST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
"""Range of a factor of float32 numbers."""
FACTOR = f"a number from {LEAST:.2g} to {MOST:.2g}, the range of float32"
"""The range in words."""


class MetadataFile:
    """The fields of one `dataset.json`, each checked when it is read.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            DatasetError: If the file is missing, is no JSON object or has another schema version.
        """
        self.path = path
        if not is_file(path):  # to open a pipe is to wait for its other end
            raise DatasetError(f"{path} must be the metadata of a dataset, got {found(path)}")
        try:
            fields = json.loads(decoded(path.read_bytes()))
        except OSError as error:
            raise DatasetError(f"{path} must be the metadata of a dataset, got {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{path} must be JSON, got something else: {reason(error)}") from error
        if not isinstance(fields, dict):
            raise DatasetError(f"{path} must hold a JSON object, got {cut(repr(fields), 60)}")
        self._fields: dict[str, Any] = fields
        schema = self._field("schema")
        if schema != SCHEMA:
            raise DatasetError(f"'schema' in {path} must be {SCHEMA}, got {cut(repr(schema), 60)}")

    def text(self, name: str) -> str:
        """Return the field `name`, a text.

        Raises:
            DatasetError: If the field is missing or has another type.
        """
        value = self._field(name)
        if not isinstance(value, str):
            raise DatasetError(f"'{name}' in {self.path} must be a text, got {cut(repr(value), 60)}")
        return value

    def count(self, name: str, most: int) -> int:
        """Return the field `name`, a whole number from 1 to `most`.

        Raises:
            DatasetError: If the field is missing, has another type or is out of range.
        """
        value = self._field(name)
        if type(value) is not int or not 1 <= value <= most:  # isinstance would let True pass
            raise DatasetError(
                f"'{name}' in {self.path} must be a whole number from 1 to {most}, got {cut(repr(value), 60)}"
            )
        return value

    def factor(self, name: str) -> float:
        """Return the field `name`, a number from `LEAST` to `MOST`.

        Raises:
            DatasetError: If the field is missing, has another type or is out of range.
        """
        value = self._field(name)
        if type(value) not in (int, float) or not LEAST <= value <= MOST:  # isinstance would let True pass
            raise DatasetError(f"'{name}' in {self.path} must be {FACTOR}, got {cut(repr(value), 60)}")
        return float(value)

    def classes(self) -> tuple[str, ...]:
        """Return the field ``classes``, a list of different names.

        Raises:
            DatasetError: If the field is missing or has another type.
        """
        return class_names(self._field("classes"), self.path)

    def _field(self, name: str) -> Any:
        if name not in self._fields:
            raise DatasetError(f"{self.path} must have a field '{name}', got only {', '.join(self._fields) or 'none'}")
        return self._fields[name]


def class_names(value: object, path: Path) -> tuple[str, ...]:
    """Return a JSON value as the names of classes.

    Args:
        value: The value of ``classes`` in the file.
        path: The file.

    Returns:
        At least one name, all different.

    Raises:
        DatasetError: If `value` is not a list of different, non-empty texts, each on one line and in UTF-8.
    """
    names = value if isinstance(value, list) else []
    if not names or not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
        raise DatasetError(f"'classes' in {path} must be a list of different names, got {cut(repr(value), 60)}")
    if not all(map(is_plain, names)):
        raise DatasetError(f"'classes' in {path} must hold names in UTF-8 on one line, got {cut(repr(value), 60)}")
    return tuple(names)


def metadata_text(fields: dict[str, object]) -> str:
    """Return the content of a `dataset.json` with these fields; the same fields always give the same text."""
    return json.dumps({"schema": SCHEMA, **fields}, indent=2) + "\n"
