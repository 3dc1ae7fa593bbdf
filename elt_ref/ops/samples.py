"""A layer computed by shares of the samples, each on a thread of its own.

Nothing in a layer crosses samples, and NumPy lets other threads work while it computes. So each thread computes the
whole layer of its share, products and passes alike; threads of the BLAS would share the products alone. Those are off
then: after a product they wait for the next one in a busy loop, and would take the processor from a share. Small states
are not shared: there the threads would wait for one another at every pass, and the BLAS makes more of them.

States have the same bits on any number of threads, as far as the BLAS gives a row of a product the same bits among
fewer rows. Gradients of parameters are sums over shares, which round otherwise.
"""

import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache, partial, reduce
from itertools import pairwise
from operator import iadd
from typing import Any

import numpy as np
from threadpoolctl import LibController, ThreadpoolController

from elt_ref.ops.counter import is_counting
from elt_ref.ops.fused import fused

VARIABLE = "ELT_REF_THREADS"
"""Environment variable with the number of threads."""
SMALLEST = 1 << 17
"""Numbers of a state below which a layer is not shared."""

Value = Callable[..., tuple[np.ndarray, Any]]
Vjp = Callable[..., tuple[np.ndarray, ...]]


def by_samples(value: Value, vjp: Vjp, *, batched: int, name: str) -> Callable[..., Any]:
    """Make a layer an op that shares the samples among threads.

    Args:
        value: ``value(x, *arrays, **settings, keep) -> (output, kept)``. A setting ``rows``, if there is one and it is
            not None, names rows of the flattened x, ascending, and the output has these rows only. Where nothing is
            differentiated, `keep` is False, and what is kept is of no use.
        vjp: ``vjp(cotangent, kept, **settings) -> gradients`` of all arrays.
        batched: how many arrays, x among them, have an axis of samples; they come first. The others belong to all.
        name: name of the op.
    """

    def shares_of(arrays: tuple[np.ndarray, ...], settings: dict[str, Any], *, keep: bool) -> list[Any]:
        samples, others = arrays[:batched], arrays[batched:]
        bounds = pairwise(_bounds(samples[0]))
        calls = []
        for first, last in bounds:
            share = [array[first:last] for array in samples]
            calls.append(partial(value, *share, *others, **_of_share(settings, samples[0], first, last), keep=keep))
        return at_once(calls)

    def shared_value(*arrays: np.ndarray, **settings: Any) -> tuple[np.ndarray, list[tuple[int, Any]]]:
        outputs, kept = zip(*shares_of(arrays, settings, keep=True), strict=True)
        return _joined(outputs), [(len(output), each) for output, each in zip(outputs, kept, strict=True)]

    def shared_alone(*arrays: np.ndarray, **settings: Any) -> np.ndarray:
        return _joined([output for output, _ in shares_of(arrays, settings, keep=False)])

    def shared_vjp(cotangent: np.ndarray, kept: list[tuple[int, Any]], **settings: Any) -> tuple[np.ndarray, ...]:
        ends = np.cumsum([length for length, _ in kept])
        shares = zip(np.split(cotangent, ends[:-1]), kept, strict=True)
        gradients = at_once([partial(vjp, part, each, **settings) for part, (_, each) in shares])
        by_array = [*zip(*gradients, strict=True)]
        return *map(_joined, by_array[:batched]), *(reduce(iadd, parts) for parts in by_array[batched:])

    return fused(shared_value, shared_vjp, name=name, alone=shared_alone)


def _bounds(x: np.ndarray) -> list[int]:
    """Return where each share of the samples begins, and where the last ends; give products what is left of threads."""
    allowed = threads()
    shares = min(allowed, len(x)) if x.size >= SMALLEST else 1
    if allowed > 1:
        _give_products(allowed if shares == 1 else 1)
    return [len(x) * share // shares for share in range(shares + 1)]


def _of_share(settings: dict[str, Any], x: np.ndarray, first: int, last: int) -> dict[str, Any]:
    rows = settings.get("rows")
    if rows is None or last - first == len(x):
        return settings
    tokens = x.shape[1]
    place, end = np.searchsorted(rows, [first * tokens, last * tokens])
    return {**settings, "rows": rows[place:end] - first * tokens}


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Return what the calls return. Each has a thread of its own, unless their work is counted."""
    if len(calls) == 1 or is_counting():  # a counter belongs to one thread
        return [call() for call in calls]
    waiting = [_pool(len(calls) - 1).submit(call) for call in calls[1:]]
    try:
        mine = calls[0]()
    finally:
        wait(waiting)
    return [mine, *(each.result() for each in waiting)]


def threads() -> int:
    """Return the number of threads that ELT_REF_THREADS states, at most a core each; 1 if it states none.

    It is 1 as well unless OPENBLAS_NUM_THREADS is: then a product of each share could use all cores.
    """
    stated = re.fullmatch("0*([1-9][0-9]{0,8})", os.environ.get(VARIABLE, "1"))
    if stated is None or os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        return 1
    return min(int(stated[1]), max(1, os.cpu_count() or 1))


_of_products = 1
"""Threads of the BLAS: one at the beginning, see `threads`."""


def _give_products(number: int) -> None:
    """Give matrix products so many threads, from now on: the layers of a network are alike, so this seldom changes."""
    global _of_products  # noqa: PLW0603  so is the setting of the libraries
    if number != _of_products:
        for library in _libraries():
            library.set_num_threads(number)
        _of_products = number


@cache
def _libraries() -> list[LibController]:
    return ThreadpoolController().select(user_api="blas").lib_controllers


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, thread_name_prefix="elt_ref samples")


if hasattr(os, "register_at_fork"):  # a forked process has the pool, but not its threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
