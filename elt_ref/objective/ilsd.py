"""Intra-loop self-distillation: the student is a prefix of the teacher, so one forward pass serves both.

    E5   L = L_GT(F_(N,L_max)(x), y)                           E5.1  ground truth for the teacher
           + λ L_GT(F_(N,L_int)(x), y)                         E5.2  ground truth for the student
           + (1 − λ) L_dist(F_(N,L_int)(x), sg(F_(N,L_max)(x)))   E5.3  distillation
    E6   L_int ~ U{L_min, …, L_max − 1}

λ falls linearly from 1 to 0 over training. The gradient of E5.1 flows through all L_max loops, those of E5.2 and E5.3
through the first L_int; the stop-gradient is on the teacher's prediction alone.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from elt_ref.errors import RequestError
from elt_ref.ops import stop_gradient


class LossTerms(NamedTuple):
    """A loss and the terms it is made of, before λ weighs them. Scalars."""

    total: Any
    teacher_truth: Any
    """E5.1"""
    student_truth: Any
    """E5.2; zero for the vanilla objective."""
    distillation: Any
    """E5.3; zero for the vanilla objective."""


def ilsd_loss(
    states: Sequence[Any],
    student_loops: int,
    head: Callable[[Any], Any],
    ground_truth: Callable[[Any], Any],
    distillation: Callable[[Any, Any], Any],
    *,
    truth_weight: float,
) -> LossTerms:
    """E5: the ILSD loss over the states of one pass of L_max loops, with two evaluations of the head.

    Args:
        states: the states after 1, 2, …, L_max loops, as from `loop_states`.
        student_loops: L_int, 1 … L_max − 1.
        head: state to prediction, the same for both.
        ground_truth: L_GT of a prediction (E7 or E9).
        distillation: L_dist of (student, teacher) predictions (E8 or E10).
        truth_weight: λ in [0, 1].

    Raises:
        RequestError: `student_loops` or `truth_weight` out of range.
    """
    if not 1 <= student_loops < len(states):
        raise RequestError(f"student_loops: expected 1 ≤ L_int < L_max = {len(states)}, got {student_loops}")
    if not 0 <= truth_weight <= 1:
        raise RequestError(f"truth_weight: expected λ in 0…1, got {truth_weight}")
    teacher = head(states[-1])
    student = head(states[student_loops - 1])
    teacher_truth = ground_truth(teacher)
    student_truth = ground_truth(student)
    distilled = distillation(student, stop_gradient(teacher))
    total = teacher_truth + truth_weight * student_truth + (1 - truth_weight) * distilled
    return LossTerms(total, teacher_truth, student_truth, distilled)


def vanilla_loss(states: Sequence[Any], head: Callable[[Any], Any], ground_truth: Callable[[Any], Any]) -> LossTerms:
    """E5.1 alone: a plain looped transformer, supervised after its last loop only. The control."""
    teacher_truth = ground_truth(head(states[-1]))
    zero = np.zeros((), teacher_truth.dtype)
    return LossTerms(teacher_truth, teacher_truth, zero, zero)


def draw_student_loops(generator: np.random.Generator, *, min_loops: int, max_loops: int) -> int:
    """E6: draw L_int uniformly from {L_min, …, L_max − 1}. One draw serves the whole batch.

    The paper's display says U(L_min, L_max), its prose L_min ≤ L_int < L_max; a student that is the teacher learns
    nothing, so the prose is followed.

    Raises:
        RequestError: the set is empty, L_min ≥ L_max, or L_min < 1.
    """
    if not 1 <= min_loops < max_loops:
        raise RequestError(f"student draw: expected 1 ≤ L_min < L_max, got L_min = {min_loops}, L_max = {max_loops}")
    return int(generator.integers(min_loops, max_loops))


def truth_weight_at(step: int, steps: int) -> float:
    """Return λ of training step `step`: linear, exactly 1 at the first step and exactly 0 at the last.

    λ = 1 − step / (steps − 1), within [0, 1]; a training of one step has λ = 1.
    """
    return float(min(1.0, max(0.0, 1 - step / max(1, steps - 1))))
