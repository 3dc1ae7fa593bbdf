"""``elt-ref study list`` and ``elt-ref study NAME``: what they print."""

from pathlib import Path
from typing import Any

from rich.table import Table

from elt_ref.study.claims import STUDIES
from elt_ref.study.conduct import Request, conduct
from elt_ref.study.declare import Study
from elt_ref.study.page import find_study, paragraph
from elt_ref.terminal import Terminal, print_json

LIST = "list"
RESULT = ("study", "claim", "criterion", "verdict", "quick", "seeds", "unlearned", "intervals", "findings", "rows")
"""What ``--json`` prints of a study's document."""


def listed() -> list[dict[str, Any]]:
    """Return name, claim, place, criterion and seeds of every study."""
    return [_described(study) for study in STUDIES.values()]


def _described(study: Study) -> dict[str, Any]:
    return {
        "study": study.name,
        "claim": study.claim,
        "place": study.place,
        "criterion": study.criterion,
        "seeds": study.seeds_of(quick=False),
        "models": len(study.arms(False)),
        "quick_models": len(study.arms(True)),
    }


def show_list(*, as_json: bool) -> None:
    """Print the studies."""
    if as_json:
        print_json({"studies": listed()})
        return
    table = Table(title="Studies; elt-ref study NAME --quick takes minutes, without --quick hours")
    for column in ("name", "claim", "models", "seeds"):
        table.add_column(column)
    for entry in listed():
        table.add_row(entry["study"], entry["claim"], str(entry["models"]), str(entry["seeds"]))
    Terminal().table(table)


def run_study(name: str, *, quick: bool, seeds: int | None, out: Path, processes: int, as_json: bool) -> None:
    """Conduct a study and print its verdict.

    Raises:
        RequestError: no such study, or as `conduct`.
        KeyboardInterrupt: after the running trainings were saved.
    """
    study = find_study(name)
    request = Request(quick, study.seeds_of(quick=quick) if seeds is None else seeds, out, processes)
    console = Terminal(stderr=True)
    document = conduct(study, request, console)
    if as_json:
        print_json({key: document[key] for key in RESULT})
        return
    lines = (f"Claim: {study.claim}", f"Criterion: {study.criterion}", f"Verdict: {document['verdict']}.")
    Terminal().say(*lines, paragraph(document))
    console.say(f"Wrote {out / study.name}.json, .png and .md.")
