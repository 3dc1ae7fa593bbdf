"""From a noisy sample to tokens and from a time to features, after DiT. A sample is [height][width][channel].

Note the opposite orders: a patch is read as (channel, row, column) and written as (row, column, channel); positions
are [sin, cos], the column before the row; times are [cos, sin].
"""

import math
from typing import Any


def patchify(sample: list[list[list[Any]]], size: int) -> list[list[Any]]:
    """Return the patches in C order, each as (channel, row, column)."""
    height, width, channels = len(sample), len(sample[0]), len(sample[0][0])
    return [
        [
            sample[top + row][left + column][channel]
            for channel in range(channels)
            for row in range(size)
            for column in range(size)
        ]
        for top in range(0, height, size)
        for left in range(0, width, size)
    ]


def unpatchify(patches: list[list[Any]], height: int, width: int, channels: int, size: int) -> list[list[list[Any]]]:
    """Join patches in C order, each as (row, column, channel)."""
    return [
        [
            [
                patches[(y // size) * (width // size) + x // size][((y % size) * size + x % size) * channels + channel]
                for channel in range(channels)
            ]
            for x in range(width)
        ]
        for y in range(height)
    ]


def positions(rows: int, columns: int, width: int) -> list[list[float]]:
    """Return the fixed position of each token: half the channels for its column, half for its row."""
    return [
        [*_sine_cosine(column, width // 2), *_sine_cosine(row, width // 2)]
        for row in range(rows)
        for column in range(columns)
    ]


def _sine_cosine(place: int, width: int) -> list[float]:
    frequencies = [10000 ** (-k / (width // 2)) for k in range(width // 2)]
    return [math.sin(place * f) for f in frequencies] + [math.cos(place * f) for f in frequencies]


def time_features(time: float, width: int, scale: float) -> list[float]:
    """Return the cosines, then the sines, of scale · t at the frequencies e^(−ln 10000 · i / half)."""
    half = width // 2
    angles = [scale * time * math.exp(-math.log(10000) * i / half) for i in range(half)]
    return [math.cos(angle) for angle in angles] + [math.sin(angle) for angle in angles]
