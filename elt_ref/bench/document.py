"""What ``elt-ref bench --json`` prints."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    """One workload at one size, compared with a peer or timed alone."""

    work: str
    """``train``: one step; ``sample``: a batch through all sampling steps; ``conform``: all clauses."""
    family: str
    size: str
    peer: str | None
    """None if nothing was compared."""
    ratio_median: float | None
    """Median over pairs of our seconds ÷ the peer's; below 1 we are faster."""
    ratio_low: float | None
    """Lower quartile."""
    ratio_high: float | None
    """Upper quartile."""
    share_of_peak: float | None
    """FLOPs of our matrix products ÷ median seconds ÷ the machine's matrix-product peak; None for ``conform``."""
    peak_memory_mb: float | None
    """Memory of our process in 10⁶ bytes, Python and libraries included."""
    seconds_median: float
    peer_seconds_median: float | None
    floor: float | None
    """Ratio if we did only our matrix products, at the peak; None without a ratio."""
    numpy_floor: float | None
    """Our time ÷ what our products at the peak and the fewest passes over arrays would take; None for ``conform``."""
    peer_peak_memory_mb: float | None
    pairs: int
    failure: str | None
    """Reason why the peer could not do this, in a sentence; then the ratios are None and we were timed alone."""


@dataclass(frozen=True)
class LoopPoint:
    """The looped network against the unlooped one at one width and batch."""

    width: int
    batch: int
    tokens: int
    """Tokens of a sample, including the class token."""
    layers: int
    """N; all layers are looped."""
    loops: int
    """L; the unlooped network has N · L layers."""
    looped_bytes: int
    """Bytes of the weights of N layers."""
    unlooped_bytes: int
    """Bytes of the weights of N · L layers."""
    ratio_median: float
    """Throughput of the looped network ÷ throughput of the unlooped one."""
    ratio_low: float
    ratio_high: float
    samples_per_second: float
    """Throughput of the looped network; a sample is one forward pass."""

    @property
    def rows(self) -> int:
        """Rows of every matrix product with a kernel."""
        return self.batch * self.tokens


@dataclass(frozen=True)
class MemoryPoint:
    """The most memory that the arrays of one training step take, in bytes."""

    family: str
    size: str
    unlooped_bytes: int
    """N · L_max layers that are not looped."""
    looped_bytes: int
    """N layers looped L_max times, trained by ILSD."""
    rematerialised_bytes: int
    """The same with rematerialisation."""


@dataclass(frozen=True)
class Profile:
    """Shares of our time in one workload."""

    work: str
    """``train`` or ``sample``."""
    family: str
    size: str
    shares: dict[str, float]
    """Share of the time by part (`elt_ref.bench.profile.PARTS`, and the rest)."""
    over_floor: dict[str, float]
    """Time of a part ÷ its NumPy floor; a part that counts nothing has none."""


@dataclass(frozen=True)
class Document:
    """A whole benchmark."""

    machine: dict[str, Any]
    threads: int
    matmul_peak_gflops: float
    results: tuple[Result, ...]
    loop_cache: tuple[LoopPoint, ...] = ()
    profiles: tuple[Profile, ...] = ()
    memory: tuple[MemoryPoint, ...] = ()

    def json(self) -> dict[str, Any]:
        """Return the document for JSON; without ``loop_cache``, ``profiles`` and ``memory`` if not measured."""
        document, optional = asdict(self), ("loop_cache", "profiles", "memory")
        return {name: value for name, value in document.items() if value or name not in optional}
