"""A report in five forms: terminal table, JSON, Markdown, one HTML page, badge."""

import json
from collections.abc import Iterator
from pathlib import Path
from string import Template

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

import elt_ref
from elt_ref.conformance.alike import suggestions
from elt_ref.conformance.choices import CHOICES
from elt_ref.conformance.clauses import PROFILES, clauses, suite_version
from elt_ref.conformance.document import ClauseRow, clause_row
from elt_ref.conformance.judge import Report, Verdict
from elt_ref.literal import in_markdown
from elt_ref.report.markup import escaped

MOST_NAMES = 3
"""Clauses that a sentence names; of more it tells the number."""

COLOURS = {
    "PASS": "green",
    "FAIL": "bold red",
    "ERROR": "bold magenta",
    "UNSUPPORTED": "dim",
    "KNOWN": "yellow",
    "NOT RUN": "dim",
    "WAIVED": "yellow",
}


def reproduce(verdict: Verdict, called: str) -> str:
    """Return the command that judges this clause alone; `called` is the command line after ``elt-ref conform``."""
    return f"elt-ref conform {called} --only {verdict.clause.id}"


def judged_by() -> str:
    """Return the versions of the package and of the suite."""
    return f"elt_ref {elt_ref.__version__}, suite {suite_version()}"


def plural(count: int, word: str) -> str:
    """Return "1 clause", "2 clauses"."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def rows_of(report: Report) -> Iterator[tuple[Verdict, ClauseRow, str, str]]:
    """Yield every verdict, failures first, with its row, its error as text, and its message or its clause.

    The failures are in the order in which operations build on one another.
    """
    for verdict in (*report.failed, *(each for each in report.verdicts if each not in report.failed)):
        row = clause_row(verdict)
        error = "" if row.error_over_tolerance is None else f"{row.error_over_tolerance:.3g}"
        yield verdict, row, error, verdict.message or verdict.clause.sentence


def table(report: Report, *, every: bool) -> Table:
    """Return the clauses as a table: all, or all except the passed and the unsupported ones."""
    title = f"{report.backend.name} {report.backend.version} (error as a share of the tolerance)"
    shown = Table(title=title, box=SIMPLE_HEAD, pad_edge=False)
    shown.add_column("clause", no_wrap=True)
    shown.add_column("status", no_wrap=True)
    shown.add_column("error", no_wrap=True, justify="right")
    shown.add_column("what", overflow="fold")
    for verdict, row, error, what in rows_of(report):
        if every or verdict.status not in {"PASS", "UNSUPPORTED"}:
            style = COLOURS[verdict.status]
            shown.add_row(row.id, Text(row.status, style=style), error, what)
    return shown


def advice(report: Report, called: str) -> list[str]:
    """Return advice on the first failure: where the numbers part, the clause, and known mistakes that fail alike."""
    if not (failed := report.failed):
        return []
    first, others = failed[0], len(failed) - 1
    follow = "" if not others else f"; the other {others if others > 1 else 'clause'} may follow from it"
    known = suggestions(report.findings)
    return [
        f"Start with {start(first)}{follow}: {first.clause.sentence}{purpose(first)}",
        f"More about it: elt-ref show {first.clause.id}. To judge it alone: {reproduce(first, called)}",
        *(["Known mistakes that fail alike:"] if known else []),
        *(f"  {each.name}: {each.mistake}" for each in known),
    ]


def left(report: Report, idea: str) -> list[str]:
    """Return which clauses the package leaves with an idea, and how many it keeps."""
    failed, kept = report.failed, sum(verdict.status == "PASS" for verdict in report.verdicts)
    if not failed:
        return [f"With the idea {idea} the package leaves no clause."]
    ids = ", ".join(sorted(verdict.clause.id for verdict in failed))
    return [
        f"With the idea {idea} the package leaves {plural(len(failed), 'clause')} and keeps {kept}. It leaves {ids}.",
        "elt-ref show ID says what a clause asks.",
    ]


def start(verdict: Verdict) -> str:
    """Return the place at which to start: the first loop and layer by the taps if they say so, and the clause."""
    apart = [(finding.layer, finding.vector) for finding in verdict.findings if finding.layer is not None]
    if not apart:
        return verdict.clause.id
    (loop, layer), case = min(apart)
    before = ", or before it" if loop == layer == 1 else ""
    place = f"loop {loop}, layer {layer}{before}: there the taps part first, in case {case}"
    return f"{place}. The clause is {verdict.clause.id}"


def purpose(verdict: Verdict) -> str:
    """Return the purpose of the case that decided a verdict, as a sentence after a space."""
    return f" The purpose of this case: {verdict.worst.why}." if verdict.worst else ""


def headlines(report: Report) -> list[str]:
    """Return one line per profile that the backend offers a part of, and one on the clauses that were not judged."""
    lines = []
    for profile, title in PROFILES.items():
        required = {clause.id for clause in report.required(profile)}
        verdicts = [verdict for verdict in report.verdicts if verdict.clause.id in required]
        if not any(verdict.findings for verdict in verdicts):
            continue
        passed = sum(verdict.status == "PASS" for verdict in verdicts)
        number = plural(len(verdicts), "clause")
        of = f" of the {report.families[0]} family" if one_family(report, profile) else ""
        run = "" if len(verdicts) == len(required) else f" run ({len(required)} in all)"
        shares = [each.error for verdict in verdicts for each in verdict.findings if each.error is not None]
        worst = f", worst {max(shares):.2g} of the tolerance" if shares and max(shares) <= 1 else ""
        word = award(report, profile, whole=passed == len(required))
        lines.append(f"{profile}: {word}, {passed} of {number}{of}{run} passed{worst}. {title}.")
    if unsupported := sum(verdict.status == "UNSUPPORTED" for verdict in report.verdicts):
        of = "needs an operation that is" if unsupported == 1 else "need operations that are"
        lines.append(f"{plural(unsupported, 'clause')} {of} not declared; --all lists them.")
    if report.fresh is not None:
        fresh = report.fresh
        none = "" if fresh.asked else ": a profile needs both kinds, and none is awarded"
        lines.append(f"{plural(fresh.asked, 'fresh question')} with seed {fresh.seed}, {fresh.failed} failed{none}.")
        if fresh.paged:
            lines.append(f"The pages of the paper answered {fresh.paged} of them too, and agreed with the reference.")
    if report.passed:
        lines.append("Nothing failed.")
    return lines


def award(report: Report, profile: str, *, whole: bool) -> str:
    """Return whether a profile is awarded and why not; `whole`: whether every clause that it requires passed."""
    if report.awarded(profile):
        return f"awarded{terms(report, profile)}"
    if report.earned(profile):
        return "no award in the judge's own process"
    if whole and report.isolated and report.fresh and report.fresh.asked:
        unasked = few(report.unasked(profile))
        return f"not awarded for want of a fresh question about {unasked} (--questions asks more)"
    return "not awarded"


def few(names: list[str]) -> str:
    """Return the first names of a list, and how many more there are."""
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def one_family(report: Report, profile: str) -> bool:
    """Return whether a profile with clauses of networks is judged for one family only."""
    members = [clause for clause in clauses().values() if clause.profile == profile]
    return len(report.families) == 1 and any(clause.family for clause in members)


def terms(report: Report, profile: str) -> str:
    """Return the restrictions of an award in words: one family, one dtype, declared alternatives."""
    members = [clause for clause in clauses().values() if clause.profile == profile]
    family = f" for the {report.families[0]} family" if one_family(report, profile) else ""
    dtype = f" in {report.backend.dtypes[0]} only" if len(report.backend.dtypes) == 1 else ""
    operations = {name for clause in members for name in clause.needs}
    declared = [
        f"{name} = {value}"
        for name, value in report.backend.choices.items()
        if not CHOICES[name].needed and operations & set(CHOICES[name].operations)
    ]
    return family + dtype + (f" with {', '.join(declared)}" if declared else "")


def markdown(report: Report) -> str:
    """Return the report as Markdown, for a CI's summary."""
    name = in_markdown(f"{report.backend.name} {report.backend.version}")
    lines = [f"# {name}", "", f"Judged by {judged_by()}.", ""]
    lines += [f"- {in_markdown(line)}" for line in (*headlines(report), *report.complaints)]
    lines += ["", "| clause | status | dtype | error ÷ tolerance | |", "|---|---|---|---|---|"]
    for _, row, error, what in rows_of(report):
        message = in_markdown(what)
        lines.append(f"| {row.id} | {row.status} | {row.dtype or ''} | {error} | {message} |")
    return "\n".join(lines) + "\n"


def page(report: Report, called: str) -> str:
    """Return the report as one HTML file without references."""
    rows = []
    for verdict, row, error, _ in rows_of(report):
        message = f"<p>{escaped(verdict.message)}</p>" if verdict.message else ""
        again = f"<p><code>{escaped(reproduce(verdict, called))}</code></p>" if verdict in report.failed else ""
        if verdict in report.failed and verdict.worst:
            message += f"<p>{escaped(purpose(verdict).strip())}</p>"
        rows.append(
            f'<tr><td>{row.id}</td><td class="{verdict.status.replace(" ", "-")}">{verdict.status}</td>'
            f'<td>{row.dtype or ""}</td><td class="number">{error}</td>'
            f"<td>{escaped(verdict.clause.text)}{message}{again}"
            f"<small>{escaped(verdict.clause.source)}</small></td></tr>"
        )
    sentences = (*headlines(report), *advice(report, called), *report.complaints)
    lines = [f"<li>{escaped(line)}</li>" for line in sentences]
    title = escaped(f"{report.backend.name} {report.backend.version}, judged by {judged_by()}")
    template = Template(Path(__file__).with_name("report.html").read_text(encoding="utf-8"))
    return template.substitute(title=title, headlines="".join(lines), rows="\n".join(rows))


def badge(report: Report) -> str:
    """Return a shields.io endpoint with the awarded profiles. A profile that was not run is not awarded."""
    awarded = [f"{profile}{terms(report, profile)}" for profile in PROFILES if report.awarded(profile)]
    seed = "" if report.fresh is None else f" (seed {report.fresh.seed})"
    return json.dumps(
        {
            "schemaVersion": 1,
            "label": f"elt_ref {elt_ref.__version__}",
            "message": (", ".join(awarded) or "no profile") + seed,
            "color": "red" if not report.passed else "brightgreen" if awarded else "lightgrey",
        }
    )
