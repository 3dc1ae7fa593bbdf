"""What ``docs/benchmarks.md`` tells, by the parts of the page: which networks, peers, threads and kernels."""

from collections.abc import Mapping, Sequence
from typing import Any

from elt_ref.bench.worker import OWN_KERNELS

PARTS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "one-thread": (
        {"works": ("train", "sample"), "peers": ("torch", "jax")},
        {"works": ("train",), "sizes": ("small", "medium"), "peers": ("torch-compile",)},
    ),
    "two-threads": ({"works": ("train", "sample"), "peers": ("torch", "jax"), "threads": 2},),
    "own-kernels": ({"works": ("train", "sample"), "peers": ("torch",), "kernels": OWN_KERNELS},),
    "conformance": ({"works": ("conform",), "peers": ("torch", "jax")},),
    "profile": ({"works": ("profile",)},),
    "loop-cache": ({"works": ("loop-cache",)},),
}
"""Each is one or more requests; what a request does not say has the defaults of `elt_ref.bench.command.request`, but
for the kernels: those that fit the processor, whatever the environment names."""
