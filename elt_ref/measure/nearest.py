"""How far samples are from what was learned: the distance of each to its nearest training picture.

    min over training pictures of √(mean over values of (sample − picture)²)

in the values of pictures or clips themselves, 0 to 1. Held-out pictures say what to expect of new ones: samples that
are much nearer are memory.
"""

import numpy as np
from jaxtyping import Float

CHUNK = 250
"""Samples compared at a time."""


def nearest_distances(
    samples: Float[np.ndarray, "count *sides channels"], learned: Float[np.ndarray, "others *sides channels"]
) -> Float[np.ndarray, " count"]:
    """Return the root mean square difference of each sample from its nearest of `learned`, in 0 … 1, float64.

    The nearest is sought by ‖b‖² − 2 a·b in one matrix product; its distance is computed from the two pictures, so that
    a copy has exactly 0.
    """
    flat = learned.reshape(len(learned), -1)
    lengths = np.einsum("ij,ij->i", flat, flat)
    distances = []
    for first in range(0, len(samples), CHUNK):
        some = samples[first : first + CHUNK].reshape(-1, flat.shape[1])
        nearest = np.argmin(lengths - 2 * some @ flat.T, axis=1)
        distances.append(np.sqrt(np.mean((some - flat[nearest]) ** 2, axis=1, dtype=np.float64)))
    return np.concatenate(distances)
