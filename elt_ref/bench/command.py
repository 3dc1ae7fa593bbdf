"""``elt-ref bench``: check the request, measure, tell."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from elt_ref.bench import page
from elt_ref.bench.document import Document
from elt_ref.bench.loop_cache import loop_cache
from elt_ref.bench.machine import machine
from elt_ref.bench.measure import NETWORK_WORKS, Request, measure, profiles
from elt_ref.bench.peers import PORTS, check_peer
from elt_ref.bench.published import PARTS
from elt_ref.bench.sizes import DEFAULT_SIZES, FAMILIES, SIZES
from elt_ref.errors import RequestError, nearest

PROFILE, LOOP_CACHE = "profile", "loop-cache"
WORKS = (*NETWORK_WORKS, "conform", PROFILE, LOOP_CACHE)
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
    """Return the request of these options; of those not given, the defaults.

    Raises:
        RequestError: an unknown word, a peer that is not there, or pairs that are odd.
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
    """Measure what is asked for, and tell on stderr what is being measured.

    Args:
        requests: all of the same threads and kernels; one at least.

    Raises:
        RequestError: our side could not work.
        DisagreementError: two sides did not do the same.
    """
    with Console(stderr=True).status("measuring …") as status:

        def progress(what: str) -> None:
            status.update(f"measuring {what} …")

        documents = [_measure(asked, progress) for asked in requests]
    first = documents[0]
    return Document(
        first.machine,
        first.threads,
        max(document.matmul_peak_gflops for document in documents),
        tuple(result for document in documents for result in document.results),
        first.loop_cache,
        first.profiles,
    )


def _measure(asked: Request, progress: Callable[[str], None]) -> Document:
    told = machine(asked.kernels)
    peak, results = measure(asked, progress)
    points = loop_cache(asked, progress) if LOOP_CACHE in asked.works else ()
    shares = profiles(asked, progress) if PROFILE in asked.works else ()
    return Document(told, asked.threads, peak, results, points, shares)


def publish(folder: Path, parts: Sequence[str], pairs: int) -> Iterator[tuple[str, Document]]:
    """Measure the parts of the page of benchmarks one by one; each is written as soon as it is there, then yielded.

    Args:
        folder: receives the page, or holds one with the parts' markers, and the pictures.
        parts: names of `PARTS`; all of them where none is given.
        pairs: repetitions of each side.

    Raises:
        RequestError: an unknown part, a peer that is not there, our side could not work, or the folder cannot be
            written to.
        DisagreementError: two sides did not do the same.
    """
    chosen = _known("--part", parts, tuple(PARTS)) or tuple(PARTS)
    asked = {part: [request(**words, pairs=pairs) for words in PARTS[part]] for part in chosen}
    page.prepare(folder)
    for part in chosen:
        document = bench(asked[part])
        page.write(folder, part, document, f"elt-ref bench --out docs --part {part} --pairs {pairs}")
        yield part, document
