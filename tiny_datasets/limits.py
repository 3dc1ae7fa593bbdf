"""Limits on the size of examples. Datasets are meant to be tiny; a larger file is a mistake."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tiny_datasets.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MAX_SIDE = 1024
"""The greatest height and width of pictures, in pixels, and the greatest number of a clip's frames."""

MAX_BYTES = 2**31
"""The greatest size of an array of examples, in bytes."""


MAX_CODES = 2**24
"""The greatest codebook size and side of its patches. A larger one is a mistake, and would cost gigabytes."""


def check_side(side: str, size: int) -> None:
    """Refuse a height, a width or a number of frames (`side` names it) outside 1 … `MAX_SIDE`.

    Raises:
        DatasetError: If `size` is out of range.
    """
    if not 1 <= size <= MAX_SIDE:
        raise DatasetError(f"{side} must be from 1 to {MAX_SIDE}{'' if side == 'frames' else ' pixels'}, got {size}")


def check_shape(shape: Sequence[int], item_bytes: int, where: Path | str) -> None:
    """Refuse an array that is too large, before any memory is spent on it.

    Args:
        shape: ``[count, …]``.
        item_bytes: Bytes of a number.
        where: The file, optionally with the array in it, for the error.

    Raises:
        DatasetError: If the array would be empty, has a side beyond `MAX_SIDE` or more than `MAX_BYTES`.
    """
    size = math.prod(shape) * item_bytes
    if size < 1 or size > MAX_BYTES or max(shape[1:], default=1) > MAX_SIDE:
        raise DatasetError(
            f"{where} must hold 1 or more examples with sides of at most {MAX_SIDE}, {MAX_BYTES:,} bytes in all, "
            f"got shape {list(shape)}"
        )
