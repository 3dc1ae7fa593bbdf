"""The results as rows of text: in the terminal, and for the page."""

import math
from collections.abc import Iterator, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from elt_ref.bench.document import Document, LoopPoint, MemoryPoint, Profile, Result
from elt_ref.bench.profile import PARTS, REST
from elt_ref.literal import visible

COLUMNS = (
    "work",
    "network",
    "peer",
    "ours, ms",
    "peer, ms",
    "ours ÷ peer",
    "floor",
    "ours ÷ NumPy floor",
    "of peak",
    "MB",
)
PROFILE_COLUMNS = ("work", "network", *PARTS, REST)
MEMORY_COLUMNS = ("network", "unlooped, MB", "looped, MB", "change", "rematerialised, MB", "change")
LOOP_COLUMNS = ("rows", "width", "looped", "unlooped", "samples/s", "looped ÷ unlooped")


def result_row(result: Result) -> tuple[str, ...]:
    """Return the cells of a result, under `COLUMNS`; the brackets hold the quartiles of the ratio."""
    return (
        result.work,
        f"{result.family} {result.size}",
        result.peer or "–",
        milliseconds(result.seconds_median),
        milliseconds(result.peer_seconds_median),
        _ratio(result),
        "–" if result.floor is None else f"{result.floor:.2f}",
        "–" if result.numpy_floor is None else f"{result.numpy_floor:.2f}",
        "–" if result.share_of_peak is None else f"{result.share_of_peak:.0%}",
        "–" if result.peak_memory_mb is None else f"{result.peak_memory_mb:.0f}",
    )


def loop_row(point: LoopPoint) -> tuple[str, ...]:
    """Return the cells of a point, under `LOOP_COLUMNS`; the bytes are of the weights."""
    return (
        str(point.rows),
        str(point.width),
        f"{point.looped_bytes / 2**20:.1f} MiB",
        f"{point.unlooped_bytes / 2**20:.1f} MiB",
        f"{point.samples_per_second:.0f}",
        _ratio(point),
    )


def memory_row(point: MemoryPoint) -> tuple[str, ...]:
    """Return the cells of a point, under `MEMORY_COLUMNS`; a change is against the unlooped network."""
    looped, lean = point.looped_bytes, point.rematerialised_bytes
    changes = (f"{100 * (size / point.unlooped_bytes - 1):+.0f}%".replace("-", "−") for size in (looped, lean))
    sizes = (f"{size / 1e6:.3g}" for size in (looped, lean))
    pairs = (cell for pair in zip(sizes, changes, strict=True) for cell in pair)
    return f"{point.family} {point.size}", f"{point.unlooped_bytes / 1e6:.3g}", *pairs


def profile_row(profile: Profile) -> tuple[str, ...]:
    """Return the cells of a profile, under `PROFILE_COLUMNS`: share, and the time over the part's floor."""
    cells = (
        f"{share:.0%} ({profile.over_floor[part]:.2f})" if part in profile.over_floor else f"{share:.0%}"
        for part, share in profile.shares.items()
    )
    return profile.work, f"{profile.family} {profile.size}", *cells


def milliseconds(seconds: float | None) -> str:
    """Return seconds as milliseconds, three digits."""
    if seconds is None:
        return "–"
    return f"{1e3 * seconds:.0f}" if seconds >= 0.1 else f"{1e3 * seconds:.3g}"


def summaries(results: Sequence[Result]) -> Iterator[str]:
    """Yield a sentence for every workload and peer, with geometric mean and worst ratio, and one for every failure."""
    for work, peer in dict.fromkeys((result.work, result.peer) for result in results):
        group = [result for result in results if (result.work, result.peer) == (work, peer)]
        ratios = [(result.ratio_median, f"{result.family} {result.size}") for result in group if result.ratio_median]
        if ratios:
            mean = math.exp(sum(math.log(ratio) for ratio, _ in ratios) / len(ratios))
            worst, network = max(ratios)
            spread = f" (geometric mean of {len(ratios)}), at most {worst:.2f} ({network})" if len(ratios) > 1 else ""
            yield f"{work} against {peer}: {mean:.2f} times its time{spread}."
    yield from dict.fromkeys(result.failure for result in results if result.failure is not None)


def tables(document: Document) -> Iterator[Table]:
    """Yield the tables for the terminal."""
    if document.results:
        peak = f"matrix products reach {document.matmul_peak_gflops:.0f}·10⁹ FLOPs a second"
        title = f"{document.machine['processor']}, threads: {document.threads}; {peak}"
        caption = Text("\n").join(Text(visible(line)) for line in summaries(document.results))
        yield _table(title, COLUMNS, map(result_row, document.results), caption)
    if document.profiles:
        title = "Where our time goes"
        yield _table(title, PROFILE_COLUMNS, map(profile_row, document.profiles), None)
    if document.memory:
        title = "Memory of a training step: N layers looped L times against N · L layers"
        yield _table(title, MEMORY_COLUMNS, map(memory_row, document.memory), None)
    if document.loop_cache:
        caches = ", ".join(f"{level} {size / 2**20:.3g} MiB" for level, size in document.machine["caches"].items())
        title = "N layers looped L times against N · L layers"
        yield _table(title, LOOP_COLUMNS, map(loop_row, document.loop_cache), f"Caches: {caches or 'unknown'}.")


def _table(title: str, columns: Sequence[str], rows: Iterator[tuple[str, ...]], caption: Text | str | None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title=title, caption=caption, caption_justify="left")
    for column in columns:
        table.add_column(
            Text(column.replace(" ", "\n")),
            justify="left" if column in {"work", "network", "peer"} else "right",
            no_wrap=True,
        )
    for row in rows:
        table.add_row(*row)
    return table


def _ratio(measured: Result | LoopPoint) -> str:
    if measured.ratio_median is None:
        return "–"
    return f"{measured.ratio_median:.2f} ({measured.ratio_low:.2f}–{measured.ratio_high:.2f})"
