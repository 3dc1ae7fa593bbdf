"""``elt-ref bench``: check the request, measure, report."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from elt_ref.bench import page
from elt_ref.bench.document import Document
from elt_ref.bench.loop_cache import loop_cache
from elt_ref.bench.machine import machine
from elt_ref.bench.measure import NETWORK_WORKS, Request, measure, profiles
from elt_ref.bench.peers import check_peer
from elt_ref.bench.published import PARTS
from elt_ref.bench.sizes import DEFAULT_SIZES, FAMILIES, SIZES
from elt_ref.bench.training_memory import training_memory
from elt_ref.errors import RequestError, nearest
from elt_ref.ports import PORTS
from elt_ref.terminal import Terminal

PROFILE, LOOP_CACHE, MEMORY = "profile", "loop-cache", "memory"
WORKS = (*NETWORK_WORKS, "conform", PROFILE, LOOP_CACHE, MEMORY)
DEFAULT_WORKS = (*NETWORK_WORKS, "conform")
DEFAULT_PAIRS = 16


def request(
    *,
    works: Sequence[str] = (),
    families: Sequence[str] = (),
    sizes: Sequence[str] = (),
    peers: Sequence[str] = (),
    pairs: int = DEFAULT_PAIRS,
    threads: int = 1,
    kernels: str | None = None,
    ports: Path | None = None,
) -> Request:
    """Return the request that these options describe; a missing option takes its default.

    Raises:
        RequestError: an unknown word, a missing peer, or an odd number of pairs.
    """
    if pairs % 2:
        raise RequestError(f"--pairs: expected an even number, so that no side comes first more often, got {pairs}")
    folder = PORTS if ports is None else ports
    for peer in peers:
        check_peer(peer, folder)
    return Request(
        works=_known("--work", works, WORKS) or DEFAULT_WORKS,
        families=_known("--family", families, FAMILIES) or FAMILIES,
        sizes=_known("--size", sizes, SIZES) or DEFAULT_SIZES,
        peers=tuple(dict.fromkeys(peers)),
        pairs=pairs,
        threads=threads,
        ports=folder,
        kernels=kernels,
    )


def _known(option: str, words: Iterable[str], known: Sequence[str]) -> tuple[str, ...]:
    for word in words:
        if word not in known:
            raise RequestError(f"{option}: expected one of {', '.join(known)}, got '{word}'{nearest(word, known)}")
    return tuple(dict.fromkeys(words))


def bench(requests: Sequence[Request]) -> Document:
    """Measure every request, and show progress on stderr.

    Args:
        requests: at least one; all with the same threads and kernels.

    Raises:
        RequestError: our side failed.
        DisagreementError: two sides gave different answers.
    """
    with Terminal(stderr=True).working("measuring …") as now:

        def progress(what: str) -> None:
            now(f"measuring {what} …")

        documents = [_measure(request, progress) for request in requests]
    first = documents[0]
    return Document(
        first.machine,
        first.threads,
        max(document.matmul_peak_gflops for document in documents),
        tuple(result for document in documents for result in document.results),
        first.loop_cache,
        first.profiles,
        first.memory,
    )


def _measure(request: Request, progress: Callable[[str], None]) -> Document:
    facts = machine(request.kernels)
    peak, results = measure(request, progress)
    points = loop_cache(request, progress) if LOOP_CACHE in request.works else ()
    shares = profiles(request, peak, progress) if PROFILE in request.works else ()
    memory = training_memory(request, progress) if MEMORY in request.works else ()
    return Document(facts, request.threads, peak, results, points, shares, memory)


def publish(folder: Path, parts: Sequence[str], pairs: int) -> Iterator[tuple[str, Document]]:
    """Measure the parts of the benchmark page one by one; write each as soon as it is measured, then yield it.

    Args:
        folder: the folder of the page and its pictures; a page that exists must have the markers of the parts.
        parts: names of `PARTS`; all of them if empty.
        pairs: repetitions of each side.

    Raises:
        RequestError: an unknown part, a missing peer, a failure of our side, or a folder that cannot be written.
        DisagreementError: two sides gave different answers.
    """
    chosen = _known("--part", parts, tuple(PARTS)) or tuple(PARTS)
    requests = {part: [request(**words, pairs=pairs) for words in PARTS[part]] for part in chosen}
    page.prepare(folder, chosen)
    for part in chosen:
        document = bench(requests[part])
        page.write(folder, part, document, f"elt-ref bench --out docs --part {part} --pairs {pairs}")
        yield part, document
