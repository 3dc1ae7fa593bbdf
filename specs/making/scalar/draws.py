"""E6, the student draw: L_int ~ U{L_min, …, L_max − 1}, from SplitMix64, a generator of six lines.

Source: Steele, Lea and Flood, *Fast splittable pseudorandom number generators*.
"""

from collections.abc import Iterator

BITS = 2**64


def splitmix64(seed: int) -> Iterator[int]:
    """Yield whole numbers that look uniform in [0, 2⁶⁴)."""
    state = seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) % BITS
        z = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % BITS
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % BITS
        yield z ^ (z >> 31)


def student_draws(min_loops: int, max_loops: int, count: int, seed: int) -> list[int]:
    """Return `count` draws, uniform over the n numbers to within n / 2⁶⁴."""
    numbers = splitmix64(seed)
    return [min_loops + next(numbers) * (max_loops - min_loops) // BITS for _ in range(count)]
