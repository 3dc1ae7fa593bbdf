"""The loss of a batch: each sample runs once through L_max loops, and the student is an intermediate state.

The head is applied to two states of one pass. The stop-gradient is on the teacher's prediction, only in E5.3.
"""

from collections.abc import Mapping
from typing import Any

from specs.making.scalar.losses import (
    Terms,
    batch_mean,
    masked_distillation,
    masked_ground_truth,
    squared_error,
)
from specs.making.scalar.nesting import flat, nested, shaped
from specs.making.scalar.networks import mask_token, open_diffusion, open_masked
from specs.making.scalar.noise import add_noise, log_snr_at, loss_weight, prediction_target
from specs.making.scalar.values import data

Section = Mapping[str, Any]
Parameters = Mapping[str, Any]


def masked_terms(
    model: Section,
    parameters: Parameters,
    tokens: list[list[int]],
    mask: list[list[bool]],
    labels: list[int],
    student_loops: int | None,
    *,
    reduction: str,
    label_smoothing: float,
) -> Terms:
    """Return E5.1 and, if there is a student, E5.2 and E5.3, over the masked tokens of a batch."""
    samples = []
    for codes, hidden, label in zip(tokens, mask, labels, strict=True):
        seen = [mask_token(model) if hide else code for hide, code in zip(hidden, codes, strict=True)]
        network = open_masked(model, parameters, seen, label, model["max_loops"])
        teacher = network.predict(model["max_loops"])
        terms = Terms(masked_ground_truth(teacher, codes, hidden, reduction, label_smoothing))
        if student_loops is not None:
            student = network.predict(student_loops)
            truth = masked_ground_truth(student, codes, hidden, reduction, label_smoothing)
            terms = Terms(
                terms.teacher_truth, truth, masked_distillation(student, nested(data, teacher), hidden, reduction)
            )
        samples.append(terms)
    return batch_mean(samples)


def diffusion_terms(
    model: Section,
    diffusion: Section,
    parameters: Parameters,
    clean: list[list],
    noise: list[list],
    time: list[float],
    labels: list[int],
    student_loops: int | None,
    *,
    reduction: str,
) -> Terms:
    """Return E5.1 and, if there is a student, E5.2 and E5.3; all share x_t, t and w(t)."""
    samples = []
    for x, e, t, label in zip(map(flat, clean), map(flat, noise), time, labels, strict=True):
        log_snr, _ = log_snr_at(diffusion, t)
        weight = loss_weight(diffusion, t)
        target = prediction_target(diffusion["prediction"], x, e, log_snr)
        noisy = shaped(add_noise(x, e, log_snr), model["shape"])
        network = open_diffusion(model, parameters, noisy, t, label, model["max_loops"])
        teacher = flat(network.predict(model["max_loops"]))
        terms = Terms(squared_error(teacher, target, weight, reduction))
        if student_loops is not None:
            student = flat(network.predict(student_loops))
            truth = squared_error(student, target, weight, reduction)
            terms = Terms(terms.teacher_truth, truth, squared_error(student, nested(data, teacher), weight, reduction))
        samples.append(terms)
    return batch_mean(samples)
