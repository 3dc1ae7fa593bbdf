"""What changed between two reports: ``elt-ref conform diff OLD.json NEW.json``."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from elt_ref.conformance.document import ClauseRow, JudgedBackend, ProfileRow
from elt_ref.conformance.reports import COLOURS
from elt_ref.errors import RequestError
from elt_ref.terminal import Terminal
from elt_ref.text_files import read_text

CREPT, NOTABLE = 2.0, 0.1
"""An error that grew by this factor, beyond this share of its tolerance, is shown although its clause still passes."""


class Judged(BaseModel):
    """The parts of a report that can be compared; a report of another version may have others beside them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    suite_version: str = "1.0.0"
    """Version of the suite; reports of the first release did not say it."""
    backend: JudgedBackend
    passed: bool
    profiles: list[ProfileRow]
    clauses: list[ClauseRow]


class Change(BaseModel):
    """One clause or profile that changed."""

    name: str
    old: str | None
    """Status or award before; null if the old report lacks it."""
    new: str | None
    old_error: float | None = None
    """Error over the tolerance before, where it was measured."""
    new_error: float | None = None
    kind: Literal["better", "worse", "other"]


class Changes(BaseModel):
    """What ``--json`` prints."""

    old: JudgedBackend
    new: JudgedBackend
    suite_versions: tuple[str, str]
    worse: bool
    """Whether something that passed or was awarded no longer is: exit code 1."""
    profiles: list[Change]
    clauses: list[Change]


def read_report(path: Path) -> Judged:
    """Return a report from its JSON file.

    Raises:
        RequestError: the file cannot be read or is no report.
    """
    try:
        return Judged.model_validate_json(read_text(path))
    except OSError as error:
        raise RequestError(f"report {path}: expected a file, got {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RequestError(f"report {path}: expected text in UTF-8, got other bytes") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "JSON"
        raise RequestError(
            f"report {path}: expected what conform run --json prints, got {first['msg'].lower()} at {where}"
        ) from error


def changes(old: Judged, new: Judged) -> Changes:
    """Return what changed from one report to another."""
    awards = [{row.name: "awarded" if row.awarded else "not awarded" for row in each.profiles} for each in (old, new)]
    profiles = [
        Change(name=name, old=before, new=after, kind=_kind(before, after, good="awarded"))
        for name in {**awards[0], **awards[1]}
        if (before := awards[0].get(name)) != (after := awards[1].get(name))
    ]
    clauses = list(_changed_clauses(old, new))
    worse = any(change.kind == "worse" for change in (*profiles, *clauses)) or (old.passed and not new.passed)
    return Changes(
        old=old.backend,
        new=new.backend,
        suite_versions=(old.suite_version, new.suite_version),
        worse=worse,
        profiles=profiles,
        clauses=clauses,
    )


def _changed_clauses(old: Judged, new: Judged) -> Iterator[Change]:
    before, after = ({row.id: row for row in each.clauses} for each in (old, new))
    for id_ in sorted({**before, **after}):
        was, is_ = before.get(id_), after.get(id_)
        old_error, new_error = (row and row.error_over_tolerance for row in (was, is_))
        crept = (new_error or 0) > max(NOTABLE, CREPT * (old_error or 0)) and old_error is not None
        if was is None or is_ is None or was.status != is_.status or crept:
            statuses = was and was.status, is_ and is_.status
            kind = _kind(*statuses, good="PASS")
            yield Change(
                name=id_, old=statuses[0], new=statuses[1], old_error=old_error, new_error=new_error, kind=kind
            )


def _kind(before: str | None, after: str | None, *, good: str) -> Literal["better", "worse", "other"]:
    """Return how a change is to be taken. What one report lacks was not judged there, so it is neither."""
    if before == after or before is None or after is None:
        return "worse" if before is None and after in {"FAIL", "ERROR"} else "other"
    if good in (before, after):
        return "better" if after == good else "worse"
    return "worse" if after in {"FAIL", "ERROR"} and before not in {"FAIL", "ERROR"} else "other"


def tell(changed: Changes, console: Terminal) -> None:
    """Print the changes for human readers."""
    old, new = changed.old, changed.new
    console.say(f"{old.name} {old.version} → {new.name} {new.version}, suite {' → '.join(changed.suite_versions)}")
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("", "old", "new"):
        table.add_column(column, no_wrap=True)
    table.add_column("error, in tolerances", justify="right")
    for change in (*changed.profiles, *changed.clauses):
        colour = {"better": COLOURS["PASS"], "worse": COLOURS["FAIL"], "other": "default"}[change.kind]
        errors = " → ".join("–" if each is None else f"{each:.3g}" for each in (change.old_error, change.new_error))
        shown = "" if change.old_error is change.new_error is None else errors
        table.add_row(change.name, change.old or "–", Text(change.new or "–", style=colour), shown)
    if table.row_count:
        console.table(table)
    worse = sum(change.kind == "worse" for change in (*changed.profiles, *changed.clauses))
    summary = (
        f"{worse} worse." if worse else "Worse: a run that passed now fails." if changed.worse else "Nothing worse."
    )
    console.say(summary if table.row_count else f"No clause and no profile changed. {summary}")
