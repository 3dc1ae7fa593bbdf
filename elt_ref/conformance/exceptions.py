"""Known failures, each with a reason and an expiry date, and waivers of tolerance. The file is checked strictly.

[[known]]
clause = "DECODE-03"
reason = "our top-k kernel breaks ties by the last index"
issue = "https://…/12"
until = 2027-01-31

[[waiver]]
clause = "BLOCK-01"
factor = 4
reason = "bfloat16 accumulation"
"""

import datetime as dt
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from elt_ref.conformance.clauses import clauses
from elt_ref.conformance.failures import misread
from elt_ref.errors import RequestError
from elt_ref.text_files import read_text


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    clause: str
    reason: Annotated[str, Field(min_length=1)]


class Known(_Entry):
    """A known failure. The clause must fail: once it passes, the entry must go."""

    issue: str | None = None
    until: dt.date
    """Last day on which the failure is accepted."""


class Waiver(_Entry):
    """A wider tolerance; the verdict is WAIVED if it was needed, and then no profile is awarded."""

    factor: Annotated[float, Field(gt=1, le=100)]


class Exceptions(BaseModel):
    """The file ``elt_conformance.toml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    known_failures: Annotated[tuple[Known, ...], Field(alias="known")] = ()
    waivers: Annotated[tuple[Waiver, ...], Field(alias="waiver")] = ()

    def known(self, clause: str) -> Known | None:
        """Return the unexpired entry of a clause, if there is one."""
        today = dt.datetime.now(tz=dt.UTC).date()
        return next((entry for entry in self.known_failures if entry.clause == clause and entry.until >= today), None)

    def waiver(self, clause: str) -> Waiver | None:
        """Return the waiver of a clause, if there is one."""
        return next((entry for entry in self.waivers if entry.clause == clause), None)

    def complaints(self, statuses: Mapping[str, str], *, whole: bool) -> tuple[str, ...]:
        """Return the problems of the file itself, one sentence each.

        Args:
            statuses: status of each judged clause.
            whole: whether all clauses were judged, so that an entry without a verdict is an error.
        """
        sentences = []
        today = dt.datetime.now(tz=dt.UTC).date()
        for entry in self.known_failures:
            status = statuses.get(entry.clause)
            if entry.until < today:
                sentences.append(f"known {entry.clause}: expected a day that is not past, got {entry.until}")
            elif status is not None and status != "KNOWN":
                sentences.append(f"known {entry.clause}: expected a clause that fails, got {status}; remove the entry")
        strangers = [entry.clause for entry in (*self.known_failures, *self.waivers) if entry.clause not in statuses]
        return (*sentences, *(f"{id_}: expected the id of a clause, got no such" for id_ in strangers if whole))


def read_exceptions(path: Path) -> Exceptions:
    """Read a file of known failures and waivers.

    Raises:
        RequestError: the file is missing or not TOML, or an entry is wrong.
    """
    try:
        return Exceptions.model_validate(tomllib.loads(read_text(path)))
    except ValidationError as error:
        raise RequestError(f"{path}: {misread(error, 'the file')}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise RequestError(f"{path}: expected a TOML file of known failures, got {error}") from error


def draft(statuses: Mapping[str, str], today: dt.date) -> str:
    """Return the text of a file that lists every failing clause as known for thirty days.

    The reasons are empty, and the file is refused until they are filled in.
    """
    until = today + dt.timedelta(days=30)
    entries = [
        f'[[known]]\nclause = "{id_}"\nreason = ""\nuntil = {until.isoformat()}\n'
        for id_, status in statuses.items()
        if status in {"FAIL", "ERROR"} and id_ in clauses()
    ]
    return "\n".join(entries)
