"""``elt-ref bench``: check the request, measure, tell."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console

from elt_ref.bench import page
from elt_ref.bench.document import Document
from elt_ref.bench.loop_cache import loop_cache
from elt_ref.bench.machine import machine
from elt_ref.bench.measure import NETWORK_WORKS, Request, measure
from elt_ref.bench.peers import PORTS, check_peer
from elt_ref.bench.sizes import DEFAULT_SIZES, FAMILIES, SIZES
from elt_ref.errors import RequestError, nearest

LOOP_CACHE = "loop-cache"
WORKS = (*NETWORK_WORKS, "conform", LOOP_CACHE)
DEFAULT_WORKS = (*NETWORK_WORKS, "conform")


def request(
    *,
    works: Sequence[str],
    families: Sequence[str],
    sizes: Sequence[str],
    peers: Sequence[str],
    pairs: int,
    threads: int,
    ports: Path | None,
) -> Request:
    """Return the request of these options; of those not given, the defaults.

    Raises:
        RequestError: an unknown word, or a peer that is not there.
    """
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
    )


def _known(option: str, words: Iterable[str], known: Sequence[str]) -> tuple[str, ...]:
    for word in words:
        if word not in known:
            raise RequestError(f"{option}: expected one of {', '.join(known)}, got '{word}'{nearest(word, known)}")
    return tuple(dict.fromkeys(words))


def bench(asked: Request, out: Path | None, words: str) -> Document:
    """Measure, and write page and pictures into `out` where it is given.

    Args:
        asked: what.
        out: a folder.
        words: the command, told on the page.

    Raises:
        RequestError: our side could not work, or the folder cannot be written to.
        DisagreementError: two sides did not do the same.
    """
    if out is not None:
        page.prepare(out)
    with Console(stderr=True).status("measuring …") as status:

        def progress(what: str) -> None:
            status.update(f"measuring {what} …")

        peak, results = measure(asked, progress)
        points = loop_cache(asked, progress) if LOOP_CACHE in asked.works else ()
    document = Document(machine(), asked.threads, peak, results, points)
    if out is not None:
        page.write(out, document, words)
    return document
