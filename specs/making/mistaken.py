"""A known mistake as a backend: the pages with its changes where they reach, the right package elsewhere."""

from typing import Any

from elt_ref.conformance.backend import Tensors, Unsupported
from elt_ref.conformance.fresh.answer import PRECISION, SCHEDULED
from elt_ref.conformance.operations import OPERATIONS
from elt_ref.conformance.paper import PaperBackend
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.paper.mistakes import PAGES, Mistake


class MistakenPages(ReferenceBackend):
    """The pages with a mistake in them."""

    def __init__(self, mistake: Mistake) -> None:
        self.pages = PaperBackend(mistake)
        self.changed = {change.page for change in mistake.changes}

    def mistaken(self, operation: str, arguments: dict[str, Any]) -> Tensors:
        """Return the answer of a changed page.

        Raises:
            Unsupported: no changed page reaches the question.
        """
        family = operation.partition("_")[0]
        # Trainings take their learning rate and their weight decay from the page that has it.
        of_other_page = family in PAGES and family not in self.changed and "_training" not in operation
        in_single = self.choices[PRECISION] == "float32" and operation in SCHEDULED
        if of_other_page or in_single:
            raise Unsupported("not on a changed page")
        return getattr(self.pages, operation)(**arguments)

    def ask(self, operation: str, arguments: dict[str, Any]) -> Tensors:
        """Return the answer of a changed page, or the package's where no changed page reaches."""
        try:
            return self.mistaken(operation, arguments)
        except Unsupported:
            return getattr(super(), operation)(**arguments)


def _asked(operation: str) -> Any:
    def method(self: MistakenPages, **arguments: Any) -> Tensors:
        return self.ask(operation, arguments)

    method.__name__ = operation
    return method


for _operation in OPERATIONS:
    if hasattr(PaperBackend, _operation):
        setattr(MistakenPages, _operation, _asked(_operation))
