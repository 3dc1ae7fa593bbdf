"""Counting, the Fréchet distance and the inception score.

    d² = ‖μ₁ − μ₂‖² + Tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½)            IS = exp(E_x KL(p(y | x) ‖ p(y)))

Jacobi rotations give eigenvalues and singular values.
"""

import math
from collections.abc import Mapping
from typing import Any

from specs.making.scalar.arithmetic import log_softmax
from specs.making.scalar.values import data

Matrix = list[list[float]]


def count(model: Mapping[str, Any], loops: int) -> tuple[int, int, int]:
    """Return parameters of the N layers, all parameters, and multiply-adds of the layers in N · L calls.

    The modulations of the diffusion family are parameters of the layers, but are computed once, outside the loop.
    """
    d, hidden, layers = model["width"], model["mlp_width"], model["layers"]
    layer = (d * 3 * d + 3 * d) + (d * d + d) + (d * hidden + hidden) + (hidden * d + d)
    if model["family"] == "masked":
        tokens = math.prod(model["grid"])
        sequence = tokens + 1
        layer += 4 * d
        rows = model["codebook_size"] + model["classes"] + int(model["unconditional_row"]) + 1
        rest = rows * d + sequence * d + 2 * d + (d * d + d) + 2 * d + model["codebook_size"]
    else:
        height, width, channels = model["shape"]
        size, features = model["patch_size"], model["time_features"]
        sequence = (height // size) * (width // size)
        patch = size * size * channels
        layer += d * 6 * d + 6 * d
        embedding = (patch * d + d) + (features * d + d) + (d * d + d) + (model["classes"] + 1) * d
        rest = embedding + (d * 2 * d + 2 * d) + (d * patch + patch)
    # query, key, value and output; up and down; scores and the mixing of values
    macs = sequence * (4 * d * d + 2 * d * hidden) + 2 * sequence * sequence * d
    return layers * layer, layers * layer + rest, layers * loops * macs


def frechet_distance(features: Matrix, others: Matrix) -> float:
    """Return d² between the Gaussians of two sets of features; Tr (Σ₁ Σ₂)^½ = the singular values of Σ₁^½ Σ₂^½."""
    (mean, first), (other_mean, second) = _gaussian(features), _gaussian(others)
    offset = math.fsum((a - b) ** 2 for a, b in zip(mean, other_mean, strict=True))
    traces = math.fsum(first[i][i] + second[i][i] for i in range(len(first)))
    return offset + max(0.0, traces - 2 * math.fsum(singular_values(_product(_root(first), _root(second)))))


def _root(covariance: Matrix) -> Matrix:
    """Return the symmetric root; eigenvalues below n ε times the greatest are zero but for rounding."""
    values, vectors = jacobi(covariance)
    size = range(len(values))
    least = len(values) * 2.0**-52 * max(values)
    roots = [math.sqrt(value) if value > least else 0.0 for value in values]
    return [[math.fsum(vectors[i][k] * roots[k] * vectors[j][k] for k in size) for j in size] for i in size]


def singular_values(matrix: Matrix) -> list[float]:
    """Return the singular values: rotations make the columns orthogonal, then these are their lengths (Hestenes)."""
    columns = [list(column) for column in zip(*matrix, strict=True)]
    for _ in range(50):
        for p in range(len(columns)):
            for q in range(p + 1, len(columns)):
                one, two = columns[p], columns[q]
                across = math.fsum(a * b for a, b in zip(one, two, strict=True))
                squares = [math.fsum(a * a for a in column) for column in (one, two)]
                angle = math.atan2(2 * across, squares[0] - squares[1]) / 2
                cosine, sine = math.cos(angle), math.sin(angle)
                columns[p] = [cosine * a + sine * b for a, b in zip(one, two, strict=True)]
                columns[q] = [cosine * b - sine * a for a, b in zip(one, two, strict=True)]
    return [math.sqrt(math.fsum(a * a for a in column)) for column in columns]


def _gaussian(features: Matrix) -> tuple[list[float], Matrix]:
    """Return the mean and the covariance, which divides by n − 1."""
    n, columns = len(features), list(zip(*features, strict=True))
    mean = [math.fsum(column) / n for column in columns]
    centred = [[x - m for x in column] for column, m in zip(columns, mean, strict=True)]
    return mean, [
        [math.fsum(a * b for a, b in zip(one, two, strict=True)) / (n - 1) for two in centred] for one in centred
    ]


def _product(left: Matrix, right: Matrix) -> Matrix:
    columns = list(zip(*right, strict=True))
    return [[math.fsum(a * b for a, b in zip(row, column, strict=True)) for column in columns] for row in left]


def jacobi(matrix: Matrix) -> tuple[list[float], Matrix]:
    """Return the eigenvalues of a symmetric matrix, and its eigenvectors as columns.

    Each rotation of two axes zeroes one off-diagonal element; repeated sweeps make all of them vanish.
    """
    size = len(matrix)
    a = [[(matrix[i][j] + matrix[j][i]) / 2 for j in range(size)] for i in range(size)]
    vectors = [[float(i == j) for j in range(size)] for i in range(size)]
    for _ in range(50):
        if all(a[i][j] == 0 for i in range(size) for j in range(i)):
            break
        for p in range(size):
            for q in range(p + 1, size):
                _rotate(a, vectors, p, q)
    return [a[i][i] for i in range(size)], vectors


def _rotate(a: Matrix, vectors: Matrix, p: int, q: int) -> None:
    """A ← Jᵀ A J and V ← V J, with tan 2θ = 2 a_pq / (a_pp − a_qq) so that a_pq becomes 0."""
    if abs(a[p][q]) <= 1e-300 + 1e-18 * math.sqrt(abs(a[p][p] * a[q][q])):
        a[p][q] = a[q][p] = 0.0
        return
    angle = math.atan2(2 * a[p][q], a[p][p] - a[q][q]) / 2
    cosine, sine = math.cos(angle), math.sin(angle)
    for row in (*a, *vectors):
        row[p], row[q] = cosine * row[p] + sine * row[q], cosine * row[q] - sine * row[p]
    a[p], a[q] = (
        [cosine * x + sine * y for x, y in zip(a[p], a[q], strict=True)],
        [cosine * y - sine * x for x, y in zip(a[p], a[q], strict=True)],
    )
    a[p][q] = a[q][p] = 0.0


def inception_score(logits: Matrix, splits: int) -> float:
    """Return the mean of IS over splits of neighbours, split i from row ⌊i n / splits⌋ on."""
    scores = []
    for split in range(splits):
        part = logits[split * len(logits) // splits : (split + 1) * len(logits) // splits]
        log_given = [[data(x) for x in log_softmax(row)] for row in part]
        average = [math.fsum(map(math.exp, column)) / len(part) for column in zip(*log_given, strict=True)]
        divergence = math.fsum(
            math.exp(x) * (x - math.log(mean))
            for row in log_given
            for x, mean in zip(row, average, strict=True)
            if mean
        )
        scores.append(math.exp(divergence / len(part)))
    return math.fsum(scores) / splits
