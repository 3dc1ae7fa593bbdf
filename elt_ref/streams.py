"""Randomness enters by one door: named streams, each a pure function of (seed, name, step).

A stream is a Philox counter generator whose key is the first 128 bits of SHA-256("seed/name") and whose counter's
highest word is the step. So no consumer shifts another, any step can be replayed alone, and the seed and step in a
checkpoint restore every stream.
"""

import hashlib

import numpy as np


def stream(seed: int, name: str, step: int = 0) -> np.random.Generator:
    """Return the generator of the stream `name` at `step`.

    Args:
        seed: the run's seed, 0 … 2⁶⁴ − 1.
        name: the purpose, for example ``"mask_ratio"``.
        step: training or sampling step, 0 … 2⁶⁴ − 1.
    """
    counter = np.array([0, 0, 0, step], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=stream_key(seed, name), counter=counter))


def stream_key(seed: int, name: str) -> np.ndarray:
    """Return the two 64-bit words that key the stream."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return np.frombuffer(digest[:16], dtype="<u8").astype(np.uint64)
