"""All clauses on one page: ``python -m specs.making.clause_page`` writes ``docs/clauses.md``."""

from pathlib import Path

from elt_ref.conformance.case import read_vectors
from elt_ref.conformance.clauses import PROFILES, families
from elt_ref.conformance.reports import plural
from elt_ref.files import write_text


def page() -> str:
    """Return the page as Markdown."""
    cases: dict[str, int] = {}
    for vector in read_vectors(answers=False):
        cases[vector.stored.clause] = cases.get(vector.stored.clause, 0) + 1
    lines = [
        "# The clauses",
        "",
        "Written by `python -m specs.making.clause_page` from `specs/clauses/`. Ids are permanent. A *must* and",
        "a *choice* are needed for the profile; of a choice the implementation declares its alternative.",
        "`elt-ref show ID` lists the cases of a clause and the wrong implementations that it refuses.",
        "",
        "| profile | content |",
        "|---|---|",
        *(f"| {name} | {title} |" for name, title in PROFILES.items()),
    ]
    for name, family in sorted(families().items()):
        lines += ["", f"## {name}: {family.title}"]
        for clause in family.clause:
            equation = f", {clause.equation}" if clause.equation else ""
            operations = ", ".join(f"`{operation}`" for operation in clause.needs)
            only = "".join(f", for {choice} = {value}" for choice, value in clause.only.items())
            shown = f"{plural(cases.get(clause.id, 0), 'case')} of {operations}"
            refused = plural(len(clause.wrong), "wrong implementation")
            about = f"{clause.level}, {clause.profile}{equation}{only}; {shown}; {refused}."
            lines += ["", f"### {clause.id}", "", clause.text, "", f"*{about}* Source: {clause.source}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    write_text(Path("docs") / "clauses.md", page())
