"""Counting work: every op reports to the active counter; without one, nothing is counted.

Conventions. A multiply-add of a matrix product is one MAC and two FLOPs, which is how the paper's GFLOPs and most
tables differ by two. Element-wise work (normalisation, softmax, GELU, bias, residual sums) is counted in
FLOPs only, at a fixed price per element; exp, tanh, sqrt and division are one FLOP each. So the count
is an exact integer function of the shapes. Gathers, transposes and copies are free.

NumPy does element-wise work in passes over whole arrays, and an op needs some number of them at least: `count_passes`
reports these, and the benchmark makes a floor of them.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class Work:
    """Counted work: multiply-adds, element-wise FLOPs, and calls of named parts."""

    macs: int = 0
    elementwise_flops: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    passes: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Passes by kind (``"arithmetic"``: a sum or product; ``"exp"``: exp or tanh) and by elements of the array."""

    @property
    def flops(self) -> int:
        """All floating-point operations: two a multiply-add, and the element-wise ones."""
        return 2 * self.macs + self.elementwise_flops


_active: ContextVar[Work | None] = ContextVar("active work counter", default=None)


@contextmanager
def counting() -> Iterator[Work]:
    """Count the work of the enclosed block; work in an inner block counts for the outer blocks too."""
    outer = _active.get()
    work = Work()
    token = _active.set(work)
    try:
        yield work
    finally:
        _active.reset(token)
        if outer is not None:
            outer.macs += work.macs
            outer.elementwise_flops += work.elementwise_flops
            outer.calls.update(work.calls)
            outer.passes.update(work.passes)


def count_for(work: Work | None) -> None:
    """Make `work` the active counter of this context, or none: for a profile, which changes it from part to part."""
    _active.set(work)


def is_counting() -> bool:
    """Return whether there is an active counter."""
    return _active.get() is not None


def count_work(*, macs: int = 0, elementwise_flops: int = 0) -> None:
    """Report work to the active counter, if there is one."""
    if (work := _active.get()) is not None:
        work.macs += macs
        work.elementwise_flops += elementwise_flops


def count_passes(elements: int, *, arithmetic: int, exp: int = 0) -> None:
    """Report the fewest passes that NumPy makes over an array of so many elements, if there is a counter."""
    if (work := _active.get()) is not None:
        work.passes["arithmetic", elements] += arithmetic
        work.passes["exp", elements] += exp


def count_call(part: str) -> None:
    """Report one call of a named part (``"layer"``, ``"head"``) to the active counter, if there is one."""
    if (work := _active.get()) is not None:
        work.calls[part] += 1
