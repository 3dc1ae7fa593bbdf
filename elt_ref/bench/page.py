"""Writing a benchmark into a folder: pictures, and the measured parts of ``benchmarks.md`` between markers."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from elt_ref.bench.document import Document
from elt_ref.bench.published import PARTS
from elt_ref.bench.sizes import DEFAULT_SIZES, FAMILIES, benched, tokens_a_batch
from elt_ref.bench.table import (
    COLUMNS,
    LOOP_COLUMNS,
    MEMORY_COLUMNS,
    PROFILE_COLUMNS,
    loop_row,
    memory_row,
    profile_row,
    result_row,
    summaries,
)
from elt_ref.errors import RequestError
from elt_ref.files import check_file, make_folder, write_text
from elt_ref.literal import in_markdown

PAGE = "benchmarks.md"
PICTURES, NETWORKS = "pictures", "networks"
MARKED = (NETWORKS, *PARTS)
END = "<!-- end -->"


def prepare(folder: Path, parts: Iterable[str] = PARTS) -> None:
    """Make the folder and, if it has no page, a page with nothing between its markers.

    Raises:
        RequestError: the folder cannot be made, a picture of a part cannot be written, or the page lacks a marker.
    """
    path = folder / PAGE
    make_folder(folder / PICTURES)
    for file in (path, *(folder / picture_of(part) for part in parts)):
        check_file(file)
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else None
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{path}: expected a page in UTF-8, got {error}") from error
    if text is None:
        text = "\n".join(["# Benchmarks", "", *(line for part in MARKED for line in (f"<!-- {part} -->", END, ""))])
        write_text(path, text)
    for part in MARKED:
        between(text, part, "", path)


def picture_of(part: str) -> str:
    """Return the place of a part's picture in the folder."""
    return f"{PICTURES}/bench-{part}.png"


def between(text: str, part: str, new: str, path: Path) -> str:
    """Return the page's `text` with `new` between the markers of a part.

    Raises:
        RequestError: a marker is missing.
    """
    before, marker, rest = text.partition(f"<!-- {part} -->\n")
    _, end, after = rest.partition(END)
    if not marker or not end:
        raise RequestError(f"{path}: expected a line '<!-- {part} -->' and '{END}' after it, got a page without")
    return f"{before}{marker}{new}{end}{after}"


def write(folder: Path, part: str, document: Document, words: str) -> None:
    """Draw the picture of a part, then write the part; the other parts stay.

    Args:
        folder: a folder that `prepare` has made.
        part: one of `PARTS`.
        document: the measurements.
        words: the command that made them.

    Raises:
        RequestError: a file cannot be written.
    """
    path = folder / PAGE
    text = path.read_text(encoding="utf-8")
    for name, lines in ((NETWORKS, _networks()), (part, _rendered(document, words, folder, picture_of(part)))):
        text = between(text, name, "\n".join(["", *lines, "", ""]), path)
    write_text(path, text)


def _rendered(document: Document, words: str, folder: Path, picture: str) -> Iterator[str]:
    from elt_ref.bench.plots import draw_loop_cache, draw_ratios  # noqa: PLC0415  only where something is drawn

    yield from _machine(document, words)
    if document.profiles:
        yield ""
        yield from _markdown(PROFILE_COLUMNS, map(profile_row, document.profiles))
    if document.memory:
        yield ""
        yield from _markdown(MEMORY_COLUMNS, map(memory_row, document.memory))
    if document.loop_cache:
        draw_loop_cache(folder / picture, document.loop_cache, document.machine["caches"])
        yield from ("", f"![Throughput of the looped network over the unlooped one]({picture})", "")
        yield from _markdown(LOOP_COLUMNS, map(loop_row, document.loop_cache))
    if any(result.ratio_median is not None for result in document.results):
        draw_ratios(folder / picture, document.results)
        yield from ("", f"![Our time over each peer's, by work and size]({picture})")
    if document.results:
        yield from ("", *(f"- {in_markdown(sentence)}" for sentence in summaries(document.results)), "")
        yield from _markdown(COLUMNS, map(result_row, document.results))


def _networks() -> Iterator[str]:
    yield from _markdown(
        ("family", "size", "N × L", "width", "MLP", "batch", "tokens a batch", "sampling steps"),
        [_network(family, size) for family in FAMILIES for size in DEFAULT_SIZES],
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


def _machine(document: Document, words: str) -> Iterator[str]:
    machine = document.machine
    caches = ", ".join(f"{level} {size / 2**10:,.0f} KiB" for level, size in machine["caches"].items())
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    yield from (f"    {words}", "")
    yield f"{machine['processor']}, {machine['cores']} cores, {machine['system']}; caches: {caches or 'unknown'}."
    yield f"Python {machine['python']}, {versions}; BLAS {machine['blas']}, kernels: {machine['kernels']}."
    peak = f"matrix products reach {document.matmul_peak_gflops:.0f}·10⁹ FLOPs a second"
    yield f"Threads of each side: {document.threads}; {peak}."


def _markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield "|" + "---|" * len(columns)
    yield from (f"| {' | '.join(map(in_markdown, row))} |" for row in rows)
