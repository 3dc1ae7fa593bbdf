"""The reference with an idea, as a backend: ``elt_ref.conformance.idea_backend:FILE.py``, or ``…:NAME``.

What the judge refuses of it are the clauses that a network with this idea leaves.
"""

from typing import Any

from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.idea import Idea
from elt_ref.run.idea import load_idea


class IdeaBackend(ReferenceBackend):
    """The package, with an idea's functions in the place of its own."""

    def __init__(self, idea: Idea) -> None:
        self.idea, self.name = idea, f"{ReferenceBackend.name} + {idea.name}"


def __getattr__(source: str) -> Any:
    if source.startswith("__"):
        raise AttributeError(source)
    return IdeaBackend(load_idea(source))
