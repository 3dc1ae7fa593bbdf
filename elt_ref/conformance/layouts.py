"""Memory layouts of arrays that pass a door: a backend may get its arguments in any of them.

A file of tensors has no layouts; the metadata of a question names each that is not C order, by the tensor's name.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from elt_ref.conformance.operations import TREES


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def _strided(array: np.ndarray) -> np.ndarray:
    """Return every second number of a wider array."""
    wider = np.zeros((*array.shape, 2), array.dtype)
    wider[..., 0] = array
    return wider[..., 0]


LAYOUTS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "Fortran": np.asfortranarray,
    "read-only": _read_only,
    "strided": _strided,
}
"""The layouts other than C order, by name."""


def layout_of(array: np.ndarray) -> str | None:
    """Return the name of an array's layout; None for C order."""
    if not array.flags.writeable:
        return "read-only"
    if array.flags.c_contiguous:
        return None
    return "Fortran" if array.flags.f_contiguous else "strided"


def lay_out(keywords: dict[str, Any], layouts: Mapping[str, str]) -> None:
    """Give the arrays of a question their layouts, by ``NAME`` or ``TREE.NAME``."""
    for name, layout in layouts.items():
        tree, dot, leaf = name.partition(".")
        place, key = (keywords[tree], leaf) if dot and tree in TREES else (keywords, name)
        place[key] = LAYOUTS[layout](place[key])
