"""The drifting family for one class of generated samples: unit, affinities, field, and the loss of a batch.

The field is made of plain floats: it is a constant of the loss.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from specs.making.scalar.losses import Terms, batch_mean, squared_error
from specs.making.scalar.nesting import flat, nested
from specs.making.scalar.networks import open_drifting
from specs.making.scalar.values import data

Rows = list[list[float]]


def unit(queries: Rows, positives: Rows) -> float:
    """D1: return S."""
    others = [*queries, *positives]
    lengths = [math.dist(x, y) for i, x in enumerate(queries) for j, y in enumerate(others) if i != j]
    return math.fsum(lengths) / len(lengths) / math.sqrt(len(queries[0]))


def affinities(queries: Rows, positives: Rows, temperature: float) -> Rows:
    """D2: return W of each generated sample with all samples, generated and real; zero with itself."""
    others = [*queries, *positives]
    reach = temperature * unit(queries, positives) * math.sqrt(len(queries[0]))
    logits = [
        [-math.inf if i == j else -math.dist(x, y) / reach for j, y in enumerate(others)] for i, x in enumerate(queries)
    ]
    columns = [softmax(column) for column in zip(*logits, strict=True)]
    return [[math.sqrt(share * columns[j][i]) for j, share in enumerate(softmax(row))] for i, row in enumerate(logits)]


def softmax(row: Sequence[float]) -> list[float]:
    """Return the softmax of numbers, some of which may be −∞."""
    grown = [math.exp(x - max(row)) for x in row]
    return [x / math.fsum(grown) for x in grown]


def field_at(queries: Rows, positives: Rows, temperature: float) -> Rows:
    """D3: return V_τ: every pair of a real and a generated sample pulls from the one to the other."""
    count, scale, moved = len(queries), unit(queries, positives), []
    for row in affinities(queries, positives, temperature):
        pairs = [(w * v, y, x) for w, y in zip(row[count:], positives, strict=True)
                 for v, x in zip(row[:count], queries, strict=True)]  # fmt: skip
        moved.append([math.fsum(w * (y[k] - x[k]) for w, y, x in pairs) / scale for k in range(len(queries[0]))])
    return moved


def field(queries: Rows, positives: Rows, temperatures: Sequence[float]) -> Rows:
    """D4: return V, the sum of the fields, each divided by its root mean square."""
    total = [[0.0] * len(row) for row in queries]
    for temperature in temperatures:
        moved = field_at(queries, positives, temperature)
        size = math.sqrt(math.fsum(v * v for row in moved for v in row) / (len(moved) * len(moved[0])))
        total = [[a + b / size for a, b in zip(*rows, strict=True)] for rows in zip(total, moved, strict=True)]
    return total


def drifting_terms(
    model: Mapping[str, Any],
    parameters: Mapping[str, Any],
    positives: list[list],
    labels: list[int],
    noise: list[list],
    student_loops: int | None,
    *,
    temperatures: Sequence[float],
    reduction: str,
) -> Terms:
    """Return E5.1 and, if there is a student, E5.2 and E5.3, with fields class by class."""
    each, samples = len(noise) // len(labels), []
    for place, label in enumerate(labels):
        real = [flat(picture) for picture in positives[place]]
        group = noise[place * each : (place + 1) * each]
        networks = [open_drifting(model, parameters, sample, label, model["max_loops"]) for sample in group]
        teachers = [flat(network.predict(model["max_loops"])) for network in networks]
        truths, teacher_unit = _truths(teachers, real, temperatures, reduction)
        if student_loops is None:
            samples += [Terms(truth) for truth in truths]
            continue
        students = [flat(network.predict(student_loops)) for network in networks]
        student_truths, _ = _truths(students, real, temperatures, reduction)
        weight = 1 / teacher_unit**2
        samples += [
            Terms(truth, student_truth, squared_error(student, nested(data, teacher), weight, reduction))
            for truth, student_truth, student, teacher in zip(truths, student_truths, students, teachers, strict=True)
        ]
    return batch_mean(samples)


def _truths(drawn: list[list], real: Rows, temperatures: Sequence[float], reduction: str) -> tuple[list, float]:
    """Return D5 of each generated sample of a class, and S."""
    plain = [nested(data, sample) for sample in drawn]
    scale = unit(plain, real)
    moves = field(plain, real, temperatures)
    targets = [[x + scale * v for x, v in zip(*rows, strict=True)] for rows in zip(plain, moves, strict=True)]
    pairs = zip(drawn, targets, strict=True)
    return [squared_error(sample, target, 1 / scale**2, reduction) for sample, target in pairs], scale
