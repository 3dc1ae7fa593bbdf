"""The number of axes of token grids: 3 for pictures, 4 for clips."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tiny_datasets.errors import DatasetError

if TYPE_CHECKING:
    from tiny_datasets.tensor_file import TensorFile

CLIP_RANK = 4
"""Axes of ``[count, frames, rows, columns]``."""


def grid_rank(file: TensorFile, name: str) -> int:
    """Return the number of axes of the tensor `name`, which holds grids of tokens.

    Args:
        file: The file with the tensor.
        name: The name of the tensor.

    Returns:
        3 for ``[count, rows, columns]`` and 4 for ``[count, frames, rows, columns]``.

    Raises:
        DatasetError: If the tensor has another number of axes.
    """
    shape = file.tensors[name].shape
    if len(shape) not in (CLIP_RANK - 1, CLIP_RANK):
        raise DatasetError(
            f"'{name}' in {file.path} must have the 3 axes [count, rows, columns] or the 4 axes "
            f"[count, frames, rows, columns], got shape {list(shape)}"
        )
    return len(shape)
