"""The documented domain, read from ``specs/domain.toml``: every quantity of a question and its values."""

from functools import cache
from typing import Annotated, Any

from pydantic import Field

from elt_ref.conformance.strict import Strict
from elt_ref.run.specs import read_toml


class Quantity(Strict):
    """One quantity of a question."""

    meaning: str
    values: Annotated[list[Any], Field(min_length=1)]
    """Values from the simplest to the furthest."""
    favoured: list[Any] = Field(default=[])
    """Values that are drawn more often."""


@cache
def quantities() -> dict[str, Quantity]:
    """Return every quantity by name."""
    return {name: Quantity.model_validate(entry) for name, entry in read_toml("domain.toml")["quantity"].items()}
