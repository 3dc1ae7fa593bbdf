"""A report as data: what ``--json`` prints and ``report.json`` holds; its schema is ``specs/schemas/report.json``."""

from typing import Literal

import elt_ref
from elt_ref.conformance.alike import suggestions
from elt_ref.conformance.clauses import PROFILES, suite_version
from elt_ref.conformance.judge import Report, Status, Verdict
from elt_ref.conformance.strict import Strict


class Suite(Strict):
    """Who judged."""

    name: Literal["elt_ref"]
    version: str


class JudgedBackend(Strict):
    """The judged backend, by its own description."""

    name: str
    version: str
    families: list[str]
    """Families of networks that it has operations of; profiles are awarded for these."""
    dtypes: list[str]
    choices: dict[str, str]
    """Declared alternatives, which it had to follow."""


class FreshRow(Strict):
    """Fresh questions, beyond the stored vectors."""

    asked: int
    failed: int


class ProfileRow(Strict):
    """One profile."""

    name: str
    awarded: bool


class ClauseRow(Strict):
    """One clause."""

    id: str
    status: Status
    dtype: str | None
    """Dtype of the case nearest to its tolerance, or of the first that failed."""
    error_over_tolerance: float | None
    """Error of that case over its tolerance; at most 1 if it passed, null if nothing could be compared."""
    cases: int
    """Number of cases that the backend answered."""
    message: str


class KnownMistake(Strict):
    """A wrong implementation that fails alike."""

    name: str
    likeness: float
    """1 for the same failed cases with the same distances, 0 for none in common."""
    mistake: str


class Document(Strict):
    """The whole report."""

    suite: Suite
    suite_version: str
    """Version of the clauses and vectors: see ``specs/VERSIONING.md``."""
    backend: JudgedBackend
    seed: int | None
    """Seed of the fresh questions; null if none were drawn."""
    fresh: FreshRow
    seconds: float
    passed: bool
    """Whether something was judged and all failures are known: exit code 0."""
    complaints: list[str]
    """Problems of the file of known failures, or of the program's exit."""
    profiles: list[ProfileRow]
    clauses: list[ClauseRow]
    alike: list[KnownMistake]
    """Known mistakes that fail alike, the most alike first; empty if nothing failed."""


def document(report: Report) -> Document:
    """Return a report as data."""
    backend = report.backend
    return Document(
        suite=Suite(name="elt_ref", version=elt_ref.__version__),
        suite_version=suite_version(),
        backend=JudgedBackend(
            name=backend.name,
            version=backend.version,
            families=list(report.families),
            dtypes=list(backend.dtypes),
            choices=dict(backend.choices),
        ),
        seed=None if report.fresh is None else report.fresh.seed,
        fresh=FreshRow(asked=0, failed=0)
        if report.fresh is None
        else FreshRow(asked=report.fresh.asked, failed=report.fresh.failed),
        seconds=round(report.seconds, 3),
        passed=report.passed,
        complaints=list(report.complaints),
        profiles=[ProfileRow(name=name, awarded=report.awarded(name)) for name in PROFILES],
        clauses=[clause_row(verdict) for verdict in report.verdicts],
        alike=[KnownMistake(**each._asdict()) for each in suggestions(report.findings)] if report.failed else [],
    )


def clause_row(verdict: Verdict) -> ClauseRow:
    """Return a verdict as data."""
    worst = verdict.worst
    error = None if worst is None or worst.error is None or worst.error == float("inf") else worst.error
    return ClauseRow(
        id=verdict.clause.id,
        status=verdict.status,
        dtype=worst.dtype if worst else None,
        error_over_tolerance=None if error is None else float(f"{error:.3g}"),
        cases=len({finding.vector for finding in verdict.findings}),
        message=verdict.message,
    )
