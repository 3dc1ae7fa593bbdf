"""The specification: clauses with permanent ids, read from ``specs/clauses/``."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from elt_ref.conformance.operations import FAMILIES
from elt_ref.conformance.strict import Strict
from elt_ref.errors import RequestError, nearest
from elt_ref.run.specs import read_toml, specs_folder

Level = Literal["must", "should", "choice"]
PROFILES = {
    "loop-core": "The loop, its prefix property and intra-loop self-distillation",
    "masked": "The masked family: network, masking, losses, gradient",
    "diffusion": "The diffusion family: network, noise schedule, losses, gradient",
    "drifting": "The drifting family, one-step generation: network, field, losses, gradient",
    "trainer": "Training steps: optimizer, clipping, average, whole steps",
    "distributed": "Training across processes: several processes equal one",
    "sampler": "Any-time sampling: decoding, denoising, guidance",
    "clips": "Clips of the masked family: tubelets, positions over time, frame prediction",
    "measures": "Counts of parameters and work, and the measures of quality",
}
"""Profiles that an implementation can be awarded, each whole or not at all."""


class Clause(Strict):
    """One sentence that an implementation keeps or breaks."""

    id: Annotated[str, Field(pattern=r"^[A-Z]+-[0-9]{2}$")]
    """Permanent id FAMILY-NN; never renumbered, never reused."""
    since: str
    """First version of the specification with this clause."""
    level: Level
    """``must``: required for its profile; ``choice``: the declared alternative is required."""
    profile: str
    """Profile that it belongs to, one of `PROFILES`."""
    text: str
    """Text of the clause: one or two normative sentences."""
    equation: str | None = None
    """Equation E1 … E10 or D1 … D6 that it states a part of, if any."""
    source: str
    """Source: the paper's section with a quote, or the primary source."""
    only: dict[str, str] = Field(default={})
    """Alternatives of `elt_ref.conformance.choices` that it covers; a backend that declares another skips it."""
    needs: Annotated[list[str], Field(min_length=1)]
    """Operations that test it."""
    wrong: Annotated[list[str], Field(min_length=1)]
    """Wrong implementations that break it, by name: see `specs.making.wrong`."""

    @property
    def sentence(self) -> str:
        """The text on one line."""
        return " ".join(self.text.split())

    @property
    def family(self) -> str | None:
        """The family of networks that it belongs to: ``masked``, ``diffusion`` or ``drifting``; None for all."""
        return next((family for family, own in FAMILIES.items() if set(self.needs) & set(own)), None)


class Family(Strict):
    """One file of clauses."""

    title: str
    clause: Annotated[list[Clause], Field(min_length=1)]


def suite_version() -> str:
    """Return the version of the clauses and vectors: of the last release in ``specs/releases.toml``."""
    return read_toml("releases.toml")["release"][-1]["version"]


def clauses_folder() -> Path:
    """Return the folder of the clauses."""
    return specs_folder() / "clauses"


@cache
def families() -> dict[str, Family]:
    """Return the families by name (``LOOP``), in alphabetical order of their files."""
    files = sorted(clauses_folder().glob("*.toml"))
    return {file.stem: Family.model_validate(tomllib.loads(file.read_text(encoding="utf-8"))) for file in files}


@cache
def clauses() -> dict[str, Clause]:
    """Return every clause by id."""
    return {clause.id: clause for family in families().values() for clause in family.clause}


def clause(id_: str) -> Clause:
    """Return a clause.

    Raises:
        RequestError: no clause has this id.
    """
    if id_ not in clauses():
        raise RequestError(f"clause: expected an id such as DISTIL-03, got '{id_}'{nearest(id_, clauses())}")
    return clauses()[id_]
