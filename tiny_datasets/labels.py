"""Read the labels of imported examples, and their classes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from tiny_datasets.errors import DatasetError
from tiny_datasets.metadata_file import class_names
from tiny_datasets.plain_text import reason

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from tiny_datasets.tensor_file import TensorFile

MAX_CLASSES = 2**16
"""The greatest number of classes. A larger one is a mistake, and would cost gigabytes."""


def read_labels(file: TensorFile, count: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the tensor ``labels`` of a file, and the names of the classes.

    Args:
        file: The file with the tensor, in any integer dtype, and optional metadata ``classes``, a JSON list of names;
            by default the classes are ``"0"``, ``"1"``, … up to the greatest label.
        count: Required number of labels, at least 1.

    Returns:
        int64 ``[count]``, indices into the classes; and the classes.

    Raises:
        DatasetError: If the number of labels is wrong, a label has no class, or the classes are no list of names.
    """
    labels = file.integers("labels", rank=1)
    check_label_count(labels, count, file.path)
    classes = _classes(file)
    file.check_range("labels", len(classes))
    return labels.astype(np.int64), classes


def check_label_count(labels: NDArray[np.integer], count: int, where: Path | str) -> None:
    """Refuse labels unless there is one for each example.

    Args:
        labels: ``[number of labels]``.
        count: Number of examples.
        where: The file, optionally with the array in it, for the error.

    Raises:
        DatasetError: If the numbers differ.
    """
    if len(labels) != count:
        raise DatasetError(f"{where} must hold one label for each of its {count} examples, got {len(labels)}")


def numbered_classes(*labels: NDArray[np.integer], where: Path | str) -> tuple[str, ...]:
    """Return the class names ``"0"``, ``"1"``, … up to the greatest label.

    Args:
        labels: One or more arrays, none of them empty.
        where: The file or folder, for the error.

    Raises:
        DatasetError: If a label is below 0 or would make more than `MAX_CLASSES` classes.
    """
    for part in labels:
        check_label_range(part, where)
    return tuple(str(label) for label in range(max(int(part.max()) for part in labels) + 1))


def check_label_range(labels: NDArray[np.integer], where: Path | str) -> None:
    """Refuse labels outside 0 … `MAX_CLASSES` − 1.

    Args:
        labels: ``[count]``, at least one.
        where: The file or folder, optionally with the array in it, for the error.

    Raises:
        DatasetError: If a label is outside.
    """
    for value in (int(labels.min()), int(labels.max())):
        if not 0 <= value < MAX_CLASSES:
            raise DatasetError(f"{where} must hold labels from 0 to {MAX_CLASSES - 1}, got {value}")


def count_of(values: NDArray[np.integer], most: int) -> int:
    """Return the greatest value + 1, clipped to 1 … `most`, so that a check of ranges finds any other value."""
    return min(max(int(values.max()) + 1, 1), most)


def _classes(file: TensorFile) -> tuple[str, ...]:
    if "classes" not in file.metadata:
        return tuple(str(label) for label in range(count_of(file.tensors["labels"], MAX_CLASSES)))
    try:
        value = json.loads(file.metadata["classes"])
    except (ValueError, RecursionError) as error:
        raise DatasetError(
            f"'classes' in {file.path} must be a JSON list of names, got no JSON: {reason(error)}"
        ) from error
    return class_names(value, file.path)
