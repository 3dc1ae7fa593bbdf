"""What `elt-ref show` prints of the judge: a clause, an operation, a known mistake."""

import inspect

from elt_ref.conformance.alike import refusals
from elt_ref.conformance.backend import FAMILIES, OPERATIONS, TAPS, Operations
from elt_ref.conformance.case import read_vectors
from elt_ref.conformance.clauses import clause, clauses
from elt_ref.conformance.wrong import wrong_implementations


def names() -> list[str]:
    """Return every operation and every known mistake."""
    return [*OPERATIONS, *TAPS, *wrong_implementations()]


def operation_text(name: str) -> str:
    """Return an operation: its arguments and result, the clauses that need it, and its cases."""
    method = getattr(Operations, name)
    cases = sum(vector.stored.operation == name for vector in read_vectors(answers=False))
    family = next((family for family, own in FAMILIES.items() if name in own), "both")
    needed = ", ".join(each.id for each in clauses().values() if name in each.needs)
    arguments = [str(each) for each in inspect.signature(method).parameters.values() if each.name != "self"]
    return "\n".join(
        [
            f"{name} (operation)",
            "",
            inspect.getdoc(method) or "",
            "",
            "arguments",
            *(f"  {each}" for each in arguments),
            f"family     {family}",
            f"clauses    {needed or 'none: it is a tap, which shows where a wrong network departs'}",
            f"cases      {cases}",
        ]
    )


def mistake_text(name: str) -> str:
    """Return a known mistake, the clauses that list it and the cases that refuse it."""
    kind = wrong_implementations()[name]
    listed = ", ".join(each.id for each in clauses().values() if name in each.wrong)
    lines = [
        f"{name} (known mistake)",
        "",
        inspect.cleandoc(kind.__doc__ or ""),
        "",
        f"listed by  {listed}",
        f"written in {kind.__module__}.{kind.__name__}",
        "refused by",
        *(f"  {case}" for case in refusals()[name]),
    ]
    return "\n".join(lines)


def clause_text(id_: str) -> str:
    """Return a clause with its source, its cases and the mistakes that break it.

    Raises:
        RequestError: no clause has this id.
    """
    shown, known = clause(id_), wrong_implementations()
    wrong = [f"  {name}: {(known[name].__doc__ or '').strip().splitlines()[0]}" for name in shown.wrong]
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
