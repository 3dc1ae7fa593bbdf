"""The results of the ports over versions: ``python -m specs.making.ports_page`` writes ``docs/ports.md``.

It reads the reports in ``docs/port-reports``; `--report FILE.json` of ``elt-ref conform run`` writes one.
"""

from pathlib import Path

from elt_ref.conformance.changes import Judged, read_report
from elt_ref.conformance.clauses import PROFILES
from elt_ref.files import write_text

REPORTS = Path("docs") / "port-reports"


def page(reports: list[Judged]) -> str:
    """Return the page as Markdown: a section for each version of the suite, the newest first."""
    lines = [
        "# Results of the ports",
        "",
        "Written by `python -m specs.making.ports_page` from the reports in [port-reports](port-reports), which",
        "`elt-ref conform run … --report FILE.json` writes. ✓ is an awarded profile; an empty cell is one that was not",
        "awarded, that the implementation has no operations for, or that the suite did not have yet. A profile needs",
        "a fresh question about each of its clauses as well. The JAX port, which compiles again for every shape, was",
        "asked fewer than the others: those of `--seed 13 --questions 100`, which are about every clause that it",
        "answers. The last column is the largest error of the clauses that passed.",
        "[port.md](port.md) says how to judge your own implementation, and",
        "`elt-ref conform diff` compares two of these files.",
    ]
    for suite in sorted({report.suite_version for report in reports}, key=_numbers, reverse=True):
        lines += ["", f"## Suite {suite}", ""]
        lines.append(f"| implementation | version | {' | '.join(PROFILES)} | clauses passed | worst error |")
        lines.append(f"|{'---|' * (len(PROFILES) + 4)}")
        rows = [report for report in reports if report.suite_version == suite]
        lines += [_row(report) for report in sorted(rows, key=lambda each: (each.backend.name, each.backend.version))]
    return "\n".join(lines) + "\n"


def _row(report: Judged) -> str:
    awarded = {row.name for row in report.profiles if row.awarded}
    passed = [row for row in report.clauses if row.status == "PASS"]
    worst = max((row.error_over_tolerance or 0.0 for row in passed), default=0.0)
    cells = [
        report.backend.name,
        report.backend.version,
        *("✓" if profile in awarded else "" for profile in PROFILES),
        f"{len(passed)} of {len(report.clauses)}",
        f"{worst:.2g} of the tolerance",
    ]
    return f"| {' | '.join(cells)} |"


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def read_reports(folder: Path) -> list[Judged]:
    """Return all reports of a folder."""
    return [read_report(path) for path in sorted(folder.glob("*.json"))]


if __name__ == "__main__":
    write_text(Path("docs") / "ports.md", page(read_reports(REPORTS)))
