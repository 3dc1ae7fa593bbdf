"""The table of operations: names, arguments with shapes, results, from ``specs/operations.toml``."""

from collections.abc import Mapping

from pydantic import Field

from elt_ref.conformance.strict import Strict
from elt_ref.run.specs import read_toml


class Operation(Strict):
    """What a backend is asked, and what it answers."""

    text: str
    arguments: dict[str, str]
    """Kind by name: ``section``, ``tree``, ``int``, …, or an array such as ``real [B, T]``."""
    results: dict[str, str]
    """Arrays by name; ``NAME`` stands for the name of every parameter."""
    family: str | None = None
    """The only family of networks that it belongs to; None for all."""
    tap: bool = False
    """Whether no clause needs it."""
    about: list[str] = Field(default=[])
    """Clauses that every fresh question is about, the narrowest first."""
    often: int = 16
    """Fresh questions in one round."""


TABLE: Mapping[str, Operation] = {
    name: Operation.model_validate(entry) for name, entry in read_toml("operations.toml").items()
}
"""Every operation by name, in the order in which they build on one another; the taps are last."""
OPERATIONS = tuple(name for name, operation in TABLE.items() if not operation.tap)
"""Every judged operation."""
TAPS = tuple(name for name, operation in TABLE.items() if operation.tap)
"""Operations that no clause needs: they show the layer and loop in which a wrong network departs."""
TREES = {name for operation in TABLE.values() for name, kind in operation.arguments.items() if kind == "tree"}
"""Arguments that are dicts of arrays; their tensors have names ``TREE.NAME``."""
FAMILIES = {
    family: tuple(name for name in OPERATIONS if TABLE[name].family == family)
    for family in ("masked", "diffusion", "drifting")
}
"""Operations of only one family of networks."""
