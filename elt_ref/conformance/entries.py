"""What `elt-ref show` prints of the judge: a clause, an operation, a known mistake."""

from elt_ref.conformance.alike import clause_of, refusals
from elt_ref.conformance.case import read_vectors
from elt_ref.conformance.clauses import clause, clauses
from elt_ref.conformance.operations import TABLE
from elt_ref.paper.mistakes import diff, mistakes


def names() -> list[str]:
    """Return every operation and every known mistake."""
    return [*TABLE, *mistakes()]


def operation_text(name: str) -> str:
    """Return an operation: its arguments and result, the clauses that need it, and its cases."""
    operation = TABLE[name]
    cases = sum(vector.stored.operation == name for vector in read_vectors(answers=False))
    needed = ", ".join(each.id for each in clauses().values() if name in each.needs)
    return "\n".join(
        [
            f"{name} (operation)",
            "",
            operation.text,
            "",
            "arguments",
            *(f"  {argument:<20} {kind}" for argument, kind in operation.arguments.items()),
            "results",
            *(f"  {result:<20} {kind}" for result, kind in operation.results.items()),
            "",
            f"family     {operation.family or 'all'}",
            f"clauses    {needed or 'none: it is a tap, which shows where a wrong network departs'}",
            f"cases      {cases}",
        ]
    )


def mistake_text(name: str, *, page: bool = True) -> str:
    """Return a known mistake: what changes on the pages, the clause that refuses it first, and the cases.

    Args:
        name: its name.
        page: whether to show the pages' lines.
    """
    mistake, refused = mistakes()[name], list(refusals().get(name, ()))
    by = list(
        dict.fromkeys([*(each.id for each in clauses().values() if name in each.wrong), *map(clause_of, refused)])
    )
    pages = list(dict.fromkeys(change.page for change in mistake.changes))
    changed = (
        diff(mistake) if page else f"It changes lines of {', '.join(f'elt_ref/paper/{each}.py' for each in pages)}."
    )
    return "\n".join(
        [
            f"{name} (known mistake)",
            "",
            mistake.what,
            *([f"seen       {mistake.seen}"] if mistake.seen else []),
            "",
            changed if pages else f"A class of specs/making/wrong, and no change of a page: {mistake.made}",
            "",
            f"refused by {by[0]}: {clause(by[0]).sentence}",
            *([f"and by     {', '.join(by[1:])}"] if by[1:] else []),
            *(f"try it     python -m elt_ref.paper.{each} --mistake {name}" for each in pages),
            "cases",
            *(f"  {case}" for case in refused),
        ]
    )


def clause_text(id_: str) -> str:
    """Return a clause with its source, its cases and the mistakes that break it.

    Raises:
        RequestError: no clause has this id.
    """
    shown = clause(id_)
    wrong = [f"  {name}: {mistakes()[name].text}" for name in shown.wrong]
    cases = [
        f"  {vector.id}: {vector.stored.why}" for vector in read_vectors(answers=False) if vector.stored.clause == id_
    ]
    lines = [
        f"{shown.id} ({shown.level}, profile {shown.profile}, since {shown.since})",
        "",
        shown.text,
        "",
        *([f"equation   {shown.equation}"] if shown.equation else []),
        *(f"only for   {choice} = {value}" for choice, value in shown.only.items()),
        f"source     {shown.source}",
        f"shown by   {', '.join(shown.needs)}",
        "cases",
        *cases,
        "wrong implementations that it refuses",
        *wrong,
    ]
    return "\n".join(lines)
