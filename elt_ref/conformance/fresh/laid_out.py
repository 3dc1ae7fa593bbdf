"""A door that passes arrays in a memory layout: a right answer does not depend on it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from elt_ref.conformance.answers import flat
from elt_ref.conformance.backend import Description
from elt_ref.conformance.case import Vector
from elt_ref.conformance.judge import Door
from elt_ref.conformance.layouts import LAYOUTS, lay_out


class LaidOut:
    """A door whose arrays have a layout.

    Args:
        door: the door to the backend.
        layout: a key of `LAYOUTS`, or ``C``.
    """

    def __init__(self, door: Door, layout: str) -> None:
        self.door, self.layout, self.isolated = door, layout, door.isolated

    def describe(self) -> Description:
        """Return the backend's description."""
        return self.door.describe()

    def call(self, vector: Vector, dtype: str, keywords: dict[str, Any]) -> Mapping[str, np.ndarray]:
        """Return the answer to a vector whose arrays have the layout."""
        if self.layout in LAYOUTS:
            lay_out(keywords, dict.fromkeys(flat(keywords), self.layout))
        return self.door.call(vector, dtype, keywords)
