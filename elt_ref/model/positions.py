"""Fixed sines and cosines: of positions in a grid, and of diffusion time.

Source: DiT. Note the two orders: positions are [sin, cos], time is [cos, sin]; and of a position's channels
the first half varies with the column, the second with the row.
"""

import math

import numpy as np
from jaxtyping import Float


def sine_cosine_positions(rows: int, columns: int, width: int) -> Float[np.ndarray, "tokens width"]:
    """Return 2-D positions of a grid in C order, float64: [sin, cos] of the column, then [sin, cos] of the row.

    Frequencies of each half are 10000^(−k / (width/4)), k = 0 … width/4 − 1. The width is a multiple of 4.
    """
    row, column = np.divmod(np.arange(rows * columns), columns)
    return np.concatenate([_sine_cosine(column, width // 2), _sine_cosine(row, width // 2)], axis=1)


def _sine_cosine(positions: np.ndarray, width: int) -> Float[np.ndarray, "tokens width"]:
    angles = positions[:, None] * _frequencies(width // 2)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def time_features(time: Float[np.ndarray, " batch"], width: int, scale: float) -> Float[np.ndarray, "batch width"]:
    """Return [cos, sin] of scale · t times the frequencies 10000^(−i / (width/2)), float64.

    Args:
        time: in [0, 1].
        width: even.
        scale: 1000 brings t to the 0 … 999 of DiT's timesteps.
    """
    angles = scale * np.asarray(time, np.float64)[:, None] * _frequencies(width // 2)
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1)


def _frequencies(count: int) -> Float[np.ndarray, " count"]:
    return np.exp(-math.log(10000) * np.arange(count) / count)
