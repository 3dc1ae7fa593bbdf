"""Mistakes in the loop: its content, order and number, and the gradient through it."""

from elt_ref.conformance.backend import Tensors
from elt_ref.conformance.reference import ReferenceBackend


class MaskedScheduleReversed(ReferenceBackend):
    """The loop schedule of a sampling is read from the last step to the first."""

    def masked_sample(self, *, loops, **arguments) -> Tensors:
        return super().masked_sample(loops=loops[::-1], **arguments)


class MaskedScheduleOfFirstStep(ReferenceBackend):
    """Every sampling step takes the first step's number of loops."""

    def masked_sample(self, *, loops, **arguments) -> Tensors:
        return super().masked_sample(loops=[loops[0]] * len(loops), **arguments)


class MaskedScheduleMean(ReferenceBackend):
    """Every sampling step takes the rounded mean number of loops."""

    def masked_sample(self, *, loops, **arguments) -> Tensors:
        return super().masked_sample(loops=[round(sum(loops) / len(loops))] * len(loops), **arguments)
