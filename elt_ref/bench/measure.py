"""Measuring every workload, family, size and peer of a request."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from elt_ref.bench.document import Profile, Result
from elt_ref.bench.job import Job
from elt_ref.bench.pairs import WARM_UP, interleave, quartiles, warm_up
from elt_ref.bench.peers import works_of
from elt_ref.bench.reference_side import MATRIX_SIDE
from elt_ref.bench.sizes import benched
from elt_ref.bench.worker import SideError, Worker
from elt_ref.config import Experiment

NETWORK_WORKS = ("train", "sample")
MATMULS = 5
"""Matrix products timed before every comparison; the fastest of all is the peak."""


@dataclass(frozen=True)
class Request:
    """The measurements to make."""

    works: tuple[str, ...]
    families: tuple[str, ...]
    sizes: tuple[str, ...]
    peers: tuple[str, ...]
    pairs: int
    threads: int
    ports: Path
    kernels: str | None = None

    def job(self, side: str, work: str, config: Experiment | None = None) -> Job:
        """Return the job of a side under this request."""
        return Job(side, work, config, self.ports, self.threads, self.kernels)


@dataclass(frozen=True)
class _Timing:
    job: Job
    family: str
    size: str
    peer: str | None
    ours: list[float]
    theirs: list[float]
    work: tuple[int, float] | None
    memory: tuple[float | None, ...]
    failure: str | None


def measure(request: Request, progress: Callable[[str], None]) -> tuple[float, tuple[Result, ...]]:
    """Return the matrix-product peak in 10⁹ FLOPs a second, and a result for every comparison.

    If a peer fails, its result says why, and the other comparisons go on.

    Raises:
        SideError: our side failed.
        DisagreementError: two sides gave different answers.
    """
    timings, products = [], []
    with Worker(request.job("matmul", "matmul")) as matmul:
        for job, family, size, peer in comparisons(request):
            progress(" ".join((job.work, family, size, *([f"against {peer}"] if peer else []))))
            products += [matmul.run(index).seconds for index in range(MATMULS)]
            timings.append(_time(job, family, size, peer, request))
        if not products:  # nothing was compared
            products = [matmul.run(index).seconds for index in range(MATMULS)]
    peak = 2 * MATRIX_SIDE**3 / min(products)
    return peak / 1e9, tuple(_result(timing, peak) for timing in timings)


def profiles(request: Request, peak: float, progress: Callable[[str], None]) -> tuple[Profile, ...]:
    """Return the time profile of training and of sampling, for every family and size of the request.

    Args:
        request: its families and sizes.
        peak: rate of matrix products in 10⁹ FLOPs a second, for the floors.
        progress: is told what is measured.
    """
    made = []
    for work, family, size in product(NETWORK_WORKS, request.families, request.sizes):
        progress(f"profile {work} {family} {size}")
        with Worker(request.job("elt_ref", work, benched(family, size))) as side:
            parts = side.profile()
        whole = sum(seconds for seconds, _, _ in parts.values())
        shares = {part: seconds / whole for part, (seconds, _, _) in parts.items()}
        floors = {part: 2 * macs / (1e9 * peak) + passes for part, (_, macs, passes) in parts.items()}
        over_floor = {part: parts[part][0] / floor for part, floor in floors.items() if floor}
        made.append(Profile(work, family, size, shares, over_floor))
    return tuple(made)


def comparisons(request: Request) -> Iterator[tuple[Job, str, str, str | None]]:
    """Yield our job, family, size and peer of every comparison; if no peer supports a workload, we are timed alone."""
    for work in request.works:
        peers: Sequence[str | None] = [peer for peer in request.peers if work in works_of(peer)]
        for peer in peers or [None]:
            if work == "conform":
                yield request.job("elt_ref", work), "all", "suite", peer
            if work in NETWORK_WORKS:
                for family, size in product(request.families, request.sizes):
                    yield request.job("elt_ref", work, benched(family, size)), family, size, peer


def _time(job: Job, family: str, size: str, peer: str | None, request: Request) -> _Timing:
    if peer is None:
        return _time_sides([job], family, size, None, request)
    try:
        return _time_sides([job, replace(job, side=peer)], family, size, peer, request)
    except SideError as error:
        alone = _time_sides([job], family, size, None, request)  # raises if the failure was ours
        return replace(alone, peer=peer, failure=str(error))


def _time_sides(jobs: Sequence[Job], family: str, size: str, peer: str | None, request: Request) -> _Timing:
    job = jobs[0]
    with ExitStack() as stack:
        sides = [stack.enter_context(Worker(each)) for each in jobs]
        warm_up(sides, 1 if job.work == "conform" else WARM_UP)
        ours, *theirs = interleave(sides, request.pairs)
        memory = tuple(side.peak_memory_mb() for side in sides)
        work = None if job.work == "conform" else sides[0].work()
    return _Timing(job, family, size, peer, ours, theirs[0] if theirs else [], work, memory, failure=None)


def _result(timing: _Timing, peak: float) -> Result:
    seconds = quartiles(timing.ours)[1]
    peer_seconds = quartiles(timing.theirs)[1] if timing.theirs else None
    products = floor = None
    if timing.work is not None:
        macs, passes = timing.work
        products = 2 * macs / peak
        floor = products + passes
    ratios = [one / other for one, other in zip(timing.ours, timing.theirs, strict=True)] if timing.theirs else []
    low, median, high = quartiles(ratios) if ratios else (None, None, None)
    return Result(
        work=timing.job.work,
        family=timing.family,
        size=timing.size,
        peer=timing.peer,
        ratio_median=median,
        ratio_low=low,
        ratio_high=high,
        share_of_peak=None if products is None else products / seconds,
        peak_memory_mb=timing.memory[0],
        seconds_median=seconds,
        floor=None if products is None or peer_seconds is None else products / peer_seconds,
        numpy_floor=None if floor is None else seconds / floor,
        peer_seconds_median=peer_seconds,
        peer_peak_memory_mb=timing.memory[1] if timing.theirs else None,
        pairs=len(timing.ours),
        failure=timing.failure,
    )
