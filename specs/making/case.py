"""A case: a question as written in `specs.making.cases`, which the generator answers twice and stores."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Case:
    """A question without its answer. Floats are float64 here and are rounded to the dtype under test."""

    clause: str
    slug: str
    """Words joined by hyphens, unique within the clause."""
    operation: str
    why: str
    """Mistake that the case would catch."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Arguments that JSON can hold."""
    inputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Arguments that are arrays; arrays of a tree have names ``parameters.NAME``."""
    choice: tuple[str, str] | None = None
    """Declared choice that the question depends on, if any."""

    @property
    def id(self) -> str:
        """CLAUSE/SLUG."""
        return f"{self.clause}/{self.slug}"


def sums(folder: Path) -> str:
    """Return the hash of every file of the vectors, one per line."""
    files = sorted(path for path in folder.glob("*/*") if path.is_file())
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}" for path in files
    ]
    return "".join(f"{line}\n" for line in lines)
