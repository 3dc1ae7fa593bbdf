"""What ``elt-ref bench --json`` prints."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    """One work at one size, beside a peer or alone."""

    work: str
    """``train``: one step; ``sample``: a batch through all sampling steps; ``conform``: all clauses."""
    family: str
    size: str
    peer: str | None
    """None where nothing was compared."""
    ratio_median: float | None
    """Our seconds over the peer's, by pairs: below 1 we are faster."""
    ratio_low: float | None
    """Lower quartile."""
    ratio_high: float | None
    """Upper quartile."""
    share_of_peak: float | None
    """FLOPs of our matrix products ÷ median seconds ÷ the machine's matrix-product peak; None of ``conform``."""
    peak_memory_mb: float | None
    """Of our process, Python and libraries included, in 10⁶ bytes."""
    seconds_median: float
    peer_seconds_median: float | None
    floor: float | None
    """What the ratio would be if we did nothing but our matrix products, at the peak; None without a ratio."""
    peer_peak_memory_mb: float | None
    pairs: int
    failure: str | None
    """Why the peer could not do this work, in a sentence; the ratios are None then, and we were timed alone."""


@dataclass(frozen=True)
class LoopPoint:
    """The looped network against the unlooped one at one width and batch."""

    width: int
    batch: int
    tokens: int
    """Of a sample, the class token counted."""
    layers: int
    """N; all of it is looped."""
    loops: int
    """L; the unlooped network has N · L layers."""
    looped_bytes: int
    """Of the weights of the N layers."""
    unlooped_bytes: int
    """Of the weights of the N · L layers."""
    ratio_median: float
    """Throughput of the looped over that of the unlooped."""
    ratio_low: float
    ratio_high: float
    samples_per_second: float
    """Of the looped network, one forward pass each."""

    @property
    def rows(self) -> int:
        """Of every matrix product with a kernel."""
        return self.batch * self.tokens


@dataclass(frozen=True)
class Profile:
    """Where our time of a work goes."""

    work: str
    """``train`` or ``sample``."""
    family: str
    size: str
    shares: dict[str, float]
    """Of its time, by part (`elt_ref.bench.profile.PARTS`, and the rest)."""


@dataclass(frozen=True)
class Document:
    """A whole benchmark."""

    machine: dict[str, Any]
    threads: int
    matmul_peak_gflops: float
    results: tuple[Result, ...]
    loop_cache: tuple[LoopPoint, ...] = ()
    profiles: tuple[Profile, ...] = ()

    def json(self) -> dict[str, Any]:
        """Return it for JSON; without ``loop_cache`` and ``profiles`` where those were not asked for."""
        document = asdict(self)
        return {name: told for name, told in document.items() if told or name not in ("loop_cache", "profiles")}
