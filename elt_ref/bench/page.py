"""What a benchmark writes into a folder: pictures, and the measured parts of ``benchmarks.md`` between markers."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from elt_ref.bench.document import Document
from elt_ref.bench.measure import NETWORK_WORKS
from elt_ref.bench.sizes import benched, tokens_a_batch
from elt_ref.bench.table import COLUMNS, LOOP_COLUMNS, loop_row, result_row, summaries
from elt_ref.errors import RequestError
from elt_ref.files import write_text

PAGE = "benchmarks.md"
PICTURES = "pictures"
RATIOS, LOOP_CACHE = "bench.png", "bench-loop-cache.png"
PARTS = ("measured", "loop-cache")
END = "<!-- end -->"


def prepare(folder: Path) -> None:
    """Make the folder and, where there is none, a page with nothing between its markers.

    Raises:
        RequestError: it cannot be made, or its page lacks a marker.
    """
    path = folder / PAGE
    try:
        (folder / PICTURES).mkdir(parents=True, exist_ok=True)
        text = path.read_text(encoding="utf-8") if path.exists() else None
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"--out {folder}: expected a folder that can be written to, got {error}") from error
    if text is None:
        text = "\n".join(["# Benchmarks", "", *(line for part in PARTS for line in (f"<!-- {part} -->", END, ""))])
        write_text(path, text)
    for part in PARTS:
        between(text, part, "", path)


def between(text: str, part: str, new: str, path: Path) -> str:
    """Return the page's `text` with `new` between the markers of a part.

    Raises:
        RequestError: the markers are not there.
    """
    before, marker, rest = text.partition(f"<!-- {part} -->\n")
    _, end, after = rest.partition(END)
    if not marker or not end:
        raise RequestError(f"{path}: expected a line '<!-- {part} -->' and '{END}' after it, got a page without")
    return f"{before}{marker}{new}{end}{after}"


def write(folder: Path, document: Document, words: str) -> None:
    """Draw the pictures, then write the parts that were measured; the others stay.

    Args:
        folder: As `prepare` left it.
        document: What was measured.
        words: The command that did.

    Raises:
        RequestError: a file cannot be written.
    """
    from elt_ref.bench.plots import draw_loop_cache, draw_ratios  # noqa: PLC0415  only where something is drawn

    path = folder / PAGE
    text = path.read_text(encoding="utf-8")
    if document.results:
        compared = any(result.ratio_median is not None for result in document.results)
        if compared:
            draw_ratios(folder / PICTURES / RATIOS, document.results)
        text = between(text, "measured", "\n".join(_measured(document, words, drawn=compared)) + "\n", path)
    if document.loop_cache:
        draw_loop_cache(folder / PICTURES / LOOP_CACHE, document.loop_cache, document.machine["caches"])
        text = between(text, "loop-cache", "\n".join(_looped(document, words)) + "\n", path)
    write_text(path, text)


def _measured(document: Document, words: str, *, drawn: bool) -> Iterator[str]:
    yield from _machine(document, words)
    if drawn:
        yield from ("", f"![Our time over each peer's, by work and size]({PICTURES}/{RATIOS})", "")
    yield from (f"- {sentence}" for sentence in summaries(document.results))
    yield ""
    yield from _markdown(COLUMNS, [result_row(result) for result in document.results])
    networks = dict.fromkeys((each.family, each.size) for each in document.results if each.work in NETWORK_WORKS)
    if networks:
        yield from ("", "The networks:", "")
        yield from _markdown(
            ("family", "size", "N × L", "width", "MLP", "batch", "tokens a batch", "sampling steps"),
            [_network(family, size) for family, size in networks],
        )


def _network(family: str, size: str) -> tuple[str, ...]:
    config = benched(family, size)
    model = config.model
    return (
        family,
        size,
        f"{model.layers} × {model.max_loops}",
        str(model.width),
        str(model.mlp_width),
        str(config.training.batch_size),
        f"{tokens_a_batch(config):,}",
        str(config.sampling.steps),
    )


def _looped(document: Document, words: str) -> Iterator[str]:
    yield from _machine(document, words)
    yield from ("", f"![Throughput of the looped over that of the unlooped network]({PICTURES}/{LOOP_CACHE})", "")
    yield from _markdown(LOOP_COLUMNS, [loop_row(point) for point in document.loop_cache])


def _machine(document: Document, words: str) -> Iterator[str]:
    machine = document.machine
    caches = ", ".join(f"{level} {size / 2**10:,.0f} KiB" for level, size in machine["caches"].items())
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    yield from ("", f"    {words}", "")
    yield f"{machine['processor']}, {machine['cores']} cores, {machine['system']}; caches: {caches or 'not told'}."
    yield f"Python {machine['python']}, {versions}; NumPy's BLAS is {machine['blas']}. Threads of each side:"
    yield f"{document.threads}. Matrix products reach {document.matmul_peak_gflops:.0f}·10⁹ FLOPs a second."


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield "|" + "---|" * len(columns)
    yield from (f"| {' | '.join(row)} |" for row in rows)
