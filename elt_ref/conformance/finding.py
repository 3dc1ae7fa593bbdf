"""How a backend answered one vector in one dtype."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Status: TypeAlias = Literal["PASS", "FAIL", "ERROR", "UNSUPPORTED", "KNOWN", "NOT RUN", "WAIVED"]


@dataclass(frozen=True)
class Finding:
    """Result of one vector in one dtype."""

    vector: str
    dtype: str
    status: Status
    error: float | None
    """Error as a fraction of the tolerance; None if nothing could be compared."""
    message: str
    why: str
    """Mistake that the vector would catch."""
    operation: str = ""
    """Operation of the vector."""
    departure: float | None = None
    """Distance of a wrong answer, by `elt_ref.conformance.compare.departure`; None if the answer is right."""
    layer: tuple[int, int] | None = None
    """Loop and layer, from 1, in which the taps leave the reference, if they say so."""
