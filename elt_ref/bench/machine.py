"""The machine and the library versions of a benchmark; no names of hosts, users or folders."""

import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Any

LIBRARIES = ("numpy", "autograd", "torch", "jax")
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def machine(kernels: str | None = None) -> dict[str, Any]:
    """Return processor, cores, caches in bytes by level, system, BLAS, and versions of installed libraries.

    Args:
        kernels: the kernels of OpenBLAS, as in `Job`.
    """
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "caches": caches(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "blas": blas(),
        "kernels": "its own choice" if kernels is None else kernels,
        "versions": {name: version for name in LIBRARIES if (version := _version(name)) is not None},
    }


def processor(path: Path = Path("/proc/cpuinfo")) -> str:
    """Return the name of the processor, with its family and model where Linux knows them: names alone say little."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    facts: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    name = facts.get("model name", platform.processor() or "unknown")
    if {"cpu family", "model"} <= facts.keys():
        return f"{name}, family {facts['cpu family']} model {facts['model']}"
    return name


def caches(folder: Path = _CACHES) -> dict[str, int]:
    """Return the bytes of each level's data cache, as ``{"L1": …, "L2": …, "L3": …}``; empty if unknown."""
    sizes = {}
    for entry in sorted(folder.glob("index*")):
        try:
            kind, level, size = ((entry / name).read_text("utf-8").strip() for name in ("type", "level", "size"))
        except OSError:
            continue
        match = re.fullmatch(r"(\d+)([KM]?)", size)
        if kind != "Instruction" and match is not None:
            sizes[f"L{level}"] = int(match[1]) * {"": 1, "K": 2**10, "M": 2**20}[match[2]]
    return sizes


def blas() -> str:
    """Return the name and version of NumPy's BLAS."""
    import numpy as np  # noqa: PLC0415  after the process is settled

    built = np.show_config(mode="dicts")
    library = built["Build Dependencies"]["blas"] if built else {}
    return f"{library.get('name', 'unknown')} {library.get('version', '')}".strip()


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None
