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
    "equal-peaks": ({"works": ("train", "sample"), "peers": ("torch", "jax")},),
    "equal-peaks-two-threads": ({"works": ("train", "sample"), "peers": ("torch", "jax"), "threads": 2},),
    "conformance": ({"works": ("conform",), "peers": ("torch",)},),
    "profile": ({"works": ("profile",)},),
    "loop-cache": ({"works": ("loop-cache",)},),
    "memory": ({"works": ("memory",)},),
}
"""Requests of each part, as arguments of `elt_ref.bench.command.request`. The parts ``equal-peaks`` are for a
processor on which both BLAS reach the same peak with AVX-512, ``without-avx512`` is for one that has none."""
