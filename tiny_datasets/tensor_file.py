"""Read chosen tensors of a safetensors file, or say in one sentence what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from tiny_datasets.entries import found, is_file
from tiny_datasets.errors import DatasetError
from tiny_datasets.plain_text import cut, reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


_DTYPES = {"BOOL", "U8", "U16", "U32", "U64", "I8", "I16", "I32", "I64", "F16", "F32", "F64"}
"""The dtypes that NumPy has by itself, as safetensors spells them."""


@dataclass(frozen=True, eq=False)
class TensorFile:
    """Tensors and metadata of one safetensors file.

    Attributes:
        path: The file.
        tensors: The requested tensors that exist, by name.
        metadata: The file's text metadata.
    """

    path: Path
    tensors: dict[str, NDArray[Any]]
    metadata: dict[str, str]

    def integers(self, name: str, rank: int) -> NDArray[np.integer]:
        """Return the tensor `name`, as stored.

        Raises:
            DatasetError: If its dtype is not integer or it has not `rank` axes.
        """
        return self._checked(name, rank, np.integer, "integer")

    def floats(self, name: str, rank: int) -> NDArray[np.floating]:
        """Return the tensor `name`, as stored.

        Raises:
            DatasetError: If its dtype is not floating-point or it has not `rank` axes.
        """
        return self._checked(name, rank, np.floating, "floating-point")

    def finite_floats(self, name: str, rank: int) -> NDArray[np.float32]:
        """Return the tensor `name` as float32.

        Raises:
            DatasetError: If its dtype is not floating-point, it has not `rank` axes, or a value is no finite float32.
        """
        with np.errstate(over="ignore"):  # a value too large for float32 becomes infinite, which is refused below
            numbers = self.floats(name, rank).astype(np.float32)
        if not np.isfinite(numbers).all():
            raise DatasetError(f"'{name}' in {self.path} must hold finite float32 numbers, got a NaN or an infinity")
        return numbers

    def check_range(self, name: str, limit: int) -> None:
        """Refuse the integer tensor `name` if a value is outside 0 … ``limit − 1``.

        Raises:
            DatasetError: If a value is outside.
        """
        values = self.tensors[name]
        for value in (int(values.min(initial=0)), int(values.max(initial=0))):
            if not 0 <= value < limit:
                raise DatasetError(f"'{name}' in {self.path} must hold values from 0 to {limit - 1}, got {value}")

    def _checked(self, name: str, rank: int, dtype: type[np.generic], dtype_name: str) -> NDArray[Any]:
        tensor = self.tensors[name]
        if not np.issubdtype(tensor.dtype, dtype):
            raise DatasetError(f"'{name}' in {self.path} must have {dtype_name} values, got {tensor.dtype}")
        if tensor.ndim != rank:
            raise DatasetError(f"'{name}' in {self.path} must have {rank} axes, got shape {list(tensor.shape)}")
        return tensor


def read_tensor_file(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> TensorFile:
    """Read tensors of a safetensors file.

    Args:
        path: The file.
        required: Names of required tensors.
        optional: Names of optional tensors; all others are ignored.

    Returns:
        The tensors and the metadata.

    Raises:
        DatasetError: If the file is missing, unreadable, not safetensors or truncated, lacks a required tensor, or
            stores a requested one in a dtype that NumPy lacks.
    """
    if not is_file(path):
        raise DatasetError(f"{path} must be a safetensors file, got {found(path)}")
    try:
        with safe_open(path, framework="numpy") as file:
            names = sorted(file.keys())
            for name in required:
                if name not in names:
                    raise DatasetError(
                        f"{path} must hold a tensor '{name}', got {cut(', '.join(names) or 'none at all', 80)}"
                    )
            wanted = [name for name in (*required, *optional) if name in names]
            tensors = {name: _read_tensor(file, name, path) for name in wanted}
            return TensorFile(path, tensors, file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise DatasetError(
            f"{path} must be a whole safetensors file, got one that cannot be read: {reason(error)}"
        ) from error


def _read_tensor(file: Any, name: str, path: Path) -> NDArray[Any]:
    # Other packages add dtypes to NumPy when loaded; reading must not depend on that.
    if (dtype := file.get_slice(name).get_dtype()) not in _DTYPES:
        raise DatasetError(f"'{name}' in {path} must have a dtype NumPy can read, got {dtype}")
    return file.get_tensor(name)
