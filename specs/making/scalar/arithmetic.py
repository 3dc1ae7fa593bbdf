"""Parts of both families' layers: linear maps, norms, activations, softmax and attention, one token at a time.

A row is the list of a token's channels; rows are the tokens of one sample. Sources: MaskGIT and DiT, whose layers
agree in the tanh form of the GELU, biases on every linear map, and scores scaled by 1/√(head width).
"""

import math
from typing import no_type_check

from specs.making.scalar.values import Number, Row, Rows, data, dot, exp, log, sqrt, tanh, total


def linear(rows: Rows, weight: Rows, bias: Row) -> list[list[Number]]:
    """Return y = x W + b of each row x; W is [inputs][outputs]."""
    columns = list(zip(*weight, strict=True))
    return [[dot(x, column) + b for column, b in zip(columns, bias, strict=True)] for x in rows]


@no_type_check
def normalise(x: Row, epsilon: float) -> list[Number]:
    """Return (x − mean) / √(variance + ε); the variance divides by the width."""
    mean = total(x) / len(x)
    centred = [entry - mean for entry in x]
    deviation = sqrt(dot(centred, centred) / len(x) + epsilon)
    return [entry / deviation for entry in centred]


@no_type_check
def layer_norm(x: Row, scale: Row, bias: Row, epsilon: float) -> list[Number]:
    """Return the normalised row times a scale plus a bias for each channel."""
    return [n * s + b for n, s, b in zip(normalise(x, epsilon), scale, bias, strict=True)]


@no_type_check
def modulated_norm(x: Row, shift: Row, scale: Row, epsilon: float) -> list[Number]:
    """Return the normalised row times (1 + scale) plus shift: DiT's ``modulate``."""
    return [n * (1.0 + s) + b for n, s, b in zip(normalise(x, epsilon), scale, shift, strict=True)]


@no_type_check
def gelu(x: Number) -> Number:
    """Return x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³))), the tanh form."""
    return 0.5 * x * (1.0 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


@no_type_check
def sigmoid(x: Number) -> Number:
    """Return 1 / (1 + e^−x) without the exponential of a positive number."""
    if data(x) >= 0:
        return 1.0 / (1.0 + exp(-x))
    return exp(x) / (1.0 + exp(x))


@no_type_check
def silu(x: Number) -> Number:
    """Return x sigmoid(x)."""
    return x * sigmoid(x)


@no_type_check
def log_softmax(x: Row) -> list[Number]:
    """Return x − log Σ e^x. The largest x is subtracted first as a constant; the result does not depend on it."""
    largest = max(data(entry) for entry in x)
    lowered = [entry - largest for entry in x]
    normaliser = log(total(exp(entry) for entry in lowered))
    return [entry - normaliser for entry in lowered]


@no_type_check
def softmax(x: Row) -> list[Number]:
    """Return e^x / Σ e^x."""
    largest = max(data(entry) for entry in x)
    powers = [exp(entry - largest) for entry in x]
    normaliser = total(powers)
    return [power / normaliser for power in powers]


def attention(rows: Rows, heads: int) -> list[list[Number]]:
    """Attend from every token to every token.

    A row holds queries, keys and values in this order, each ordered by head.
    """
    width = len(rows[0]) // 3
    size = width // heads

    def part(row: Row, which: int, head: int) -> Row:
        start = which * width + head * size
        return row[start : start + size]

    result = []
    for row in rows:
        attended = []
        for head in range(heads):
            query = part(row, 0, head)
            shares = softmax([dot(query, part(other, 1, head)) / math.sqrt(size) for other in rows])
            channels = zip(*[part(other, 2, head) for other in rows], strict=True)
            attended += [dot(shares, channel) for channel in channels]
        result.append(attended)
    return result
