"""E5 and its parts E7 … E10 for one sample; the batch takes the mean.

E5    L = L_GT(teacher) + λ L_GT(student) + (1 − λ) L_dist(student, sg(teacher))
"""

from typing import NamedTuple

from specs.making.scalar.arithmetic import log_softmax, softmax
from specs.making.scalar.values import Number, Row, Rows, data, dot, total


class Terms(NamedTuple):
    """E5.1, E5.2 and E5.3, not yet weighted by λ."""

    teacher_truth: Number
    student_truth: Number = 0.0
    distillation: Number = 0.0


def batch_mean(samples: list[Terms]) -> Terms:
    """Return the mean of each term over the samples."""
    return Terms(*(total(column) / len(samples) for column in zip(*samples, strict=True)))


def weigh(terms: Terms, truth_weight: float) -> Number:
    """E5; for a vanilla objective only E5.1, because its other terms are zero."""
    return terms.teacher_truth + truth_weight * terms.student_truth + (1 - truth_weight) * terms.distillation


def truth_weight_at(step: int, steps: int) -> float:
    """Return λ of a step: 1 − step / (steps − 1), and 1 if there is one step."""
    return 1 - step / (steps - 1) if steps > 1 else 1.0


def cross_entropy(logits: Rows, targets: list[list[float]], mask: list[bool], reduction: str) -> Number:
    """Return − Σ_i Σ_v target log P over the masked tokens i, or its mean over them; zero if there are none."""
    terms = [
        -dot(target, log_softmax(row)) for row, target, masked in zip(logits, targets, mask, strict=True) if masked
    ]
    if reduction == "mean_per_sample" and terms:
        return total(terms) / len(terms)
    return total(terms)


def masked_ground_truth(
    logits: Rows, tokens: list[int], mask: list[bool], reduction: str, label_smoothing: float
) -> Number:
    """E7; the target is (1 − s) one-hot + s / V."""
    codes = len(logits[0])
    targets = [
        [(1 - label_smoothing) * float(code == token) + label_smoothing / codes for code in range(codes)]
        for token in tokens
    ]
    return cross_entropy(logits, targets, mask, reduction)


def masked_distillation(student: Rows, teacher: Rows, mask: list[bool], reduction: str) -> Number:
    """E8, the cross-entropy with sg(teacher)'s probabilities."""
    return cross_entropy(student, [[data(p) for p in softmax(row)] for row in teacher], mask, reduction)


def squared_error(prediction: Row, target: list[float], weight: float, reduction: str) -> Number:
    """E9 and E10: w(t) ‖prediction − target‖² of a sample's values, or its mean over them."""
    offset = [p - t for p, t in zip(prediction, target, strict=True)]
    error = weight * dot(offset, offset)
    return error / len(offset) if reduction == "mean_per_sample" else error
