"""The parts of ``docs/benchmarks.md``: their networks, peers, threads and kernels."""

from collections.abc import Mapping, Sequence
from typing import Any

PARTS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "one-thread": (
        {"works": ("train", "sample"), "peers": ("torch", "jax")},
        {"works": ("train",), "sizes": ("small", "medium"), "peers": ("torch-compile",)},
    ),
    "two-threads": ({"works": ("train", "sample"), "peers": ("torch", "jax"), "threads": 2},),
    "avx2-kernels": ({"works": ("train", "sample"), "peers": ("torch",), "kernels": "Haswell"},),
    "without-avx512": ({"works": ("train", "sample"), "sizes": ("small", "medium"), "peers": ("torch", "jax")},),
    "conformance": ({"works": ("conform",), "peers": ("torch",)},),
    "profile": ({"works": ("profile",)},),
    "loop-cache": ({"works": ("loop-cache",)},),
    "memory": ({"works": ("memory",)},),
}
"""Requests of each part, as arguments of `elt_ref.bench.command.request`. The part ``without-avx512`` is for a
processor that has none, where both BLAS reach the same peak."""
