"""Intra-loop self-distillation: the student is a prefix of the teacher, so one forward pass serves both.

    E5   L = L_GT(F_(N,L_max)(x), y)                           E5.1  ground truth for the teacher
           + λ L_GT(F_(N,L_int)(x), y)                         E5.2  ground truth for the student
           + (1 − λ) L_dist(F_(N,L_int)(x), sg(F_(N,L_max)(x)))   E5.3  distillation

λ falls linearly from 1 to 0 over training. The gradient of E5.1 flows through all L_max loops, the gradients of E5.2
and E5.3 through the first L_int. The stop-gradient is on the teacher's prediction alone.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from elt_ref.errors import RequestError
from elt_ref.ops import stop_gradient


@runtime_checkable
class Target(Protocol):
    """What the network should predict: a family's losses of a prediction."""

    def ground_truth(self, prediction: Any, /) -> Any:
        """Return L_GT, a scalar: E7, E9 or D5."""

    def distillation(self, student: Any, teacher: Any, /) -> Any:
        """Return L_dist, a scalar: E8, E10 or D6."""


class LossTerms(NamedTuple):
    """A loss and its terms, before λ weighs them. Scalars."""

    total: Any
    """E5"""
    teacher_truth: Any
    """E5.1"""
    student_truth: Any
    """E5.2; zero for the vanilla objective, None for an idea's."""
    distillation: Any
    """E5.3; zero for the vanilla objective, None for an idea's."""


def ilsd_loss(target: Target, student: Any, teacher: Any, *, truth_weight: float) -> LossTerms:
    """E5: the ILSD loss of two predictions from one pass, E5.1 + λ E5.2 + (1 − λ) E5.3.

    Args:
        target: L_GT and L_dist of the batch.
        student: prediction after L_int loops.
        teacher: prediction after L_max loops.
        truth_weight: λ in [0, 1].

    Raises:
        RequestError: `truth_weight` is out of range.
    """
    if not 0 <= truth_weight <= 1:
        raise RequestError(f"truth_weight: expected λ in 0…1, got {truth_weight}")
    teacher_truth = target.ground_truth(teacher)
    student_truth = target.ground_truth(student)
    distilled = target.distillation(student, stop_gradient(teacher))
    total = teacher_truth + truth_weight * student_truth + (1 - truth_weight) * distilled
    return LossTerms(total, teacher_truth, student_truth, distilled)


def vanilla_loss(target: Target, teacher: Any) -> LossTerms:
    """E5.1 alone: a plain looped transformer, supervised after its last loop only. The control."""
    teacher_truth = target.ground_truth(teacher)
    zero = np.zeros((), teacher_truth.dtype)
    return LossTerms(teacher_truth, teacher_truth, zero, zero)
