"""The peers: our ports, and other checkouts of elt_ref, such as one before a change.

Both are located by their folder; only a port imports a framework.
"""

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elt_ref.errors import RequestError, nearest


@dataclass(frozen=True)
class Peer:
    """Another implementation of the same algorithm."""

    framework: str
    """Framework that is imported, and the name of elt_ref's extra."""
    file: str
    """Name of its file in the folder of the ports."""
    adapter: str
    """Name of the file with its adapter for the judge."""
    works: tuple[str, ...]


PEERS = {
    "torch": Peer("torch", "elt_torch.py", "elt_torch_backend.py", ("train", "sample", "conform")),
    "torch-compile": Peer("torch", "elt_torch.py", "elt_torch_backend.py", ("train", "sample")),
    "jax": Peer("jax", "elt_jax.py", "elt_jax_backend.py", ("train", "sample", "conform")),
}


CHECKOUT_WORKS = ("train", "sample", "conform")


def is_checkout(name: str) -> bool:
    """Return whether the peer is the path of a checkout of elt_ref with a benchmark.

    The path has a separator, as in ``./before``; a bare name is a side.
    """
    return Path(name).name != name and Path(name, "elt_ref", "bench", "process.py").is_file()


def shares_samples(name: str) -> bool:
    """Return whether a side is elt_ref, or a checkout, whose layers share samples among threads."""
    return name == "elt_ref" or (is_checkout(name) and Path(name, "elt_ref", "ops", "samples.py").is_file())


def works_of(name: str) -> tuple[str, ...]:
    """Return the workloads that a peer supports."""
    return PEERS[name].works if name in PEERS else CHECKOUT_WORKS


def check_peer(name: str, ports: Path) -> None:
    """Raise RequestError unless the peer is a checkout, or its port is in the folder and its framework is installed."""
    if name not in PEERS:
        if is_checkout(name):
            return
        known = f"{', '.join(PEERS)}, or a checkout of elt_ref as ./before"
        raise RequestError(f"--peer: expected one of {known}, got '{name}'{nearest(name, PEERS)}")
    peer = PEERS[name]
    for file in (peer.file, peer.adapter):
        if not (ports / file).is_file():
            raise RequestError(f"--ports {ports}: expected a folder with {file}, got one without")
    if importlib.util.find_spec(peer.framework) is None:
        raise RequestError(
            f"--peer {name}: expected {peer.framework} to be installed (the extra '{peer.framework}'), got none"
        )


def load_port(name: str, ports: Path) -> tuple[Any, Any]:
    """Import the port of a peer from the folder, and its adapter, which imports the port by its name."""
    return _load(ports / PEERS[name].file), _load(ports / PEERS[name].adapter)


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise RequestError(f"--ports: expected a Python file, got {path}")
    sys.modules[path.stem] = module = importlib.util.module_from_spec(spec)  # dataclasses look up their module there
    spec.loader.exec_module(module)
    return module
