"""The kill matrix, every clause against every wrong implementation: ``python -m specs.making.matrix``.

A clause refuses an implementation if one of its vectors gets a well-formed answer that is out of tolerance in float64.
The results are ``docs/kill-matrix.md``, by clause, and ``specs/refusals.json``, by case with the answer's distance.
"""

import json
import os
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from elt_ref.conformance.alike import FILE
from elt_ref.conformance.case import Vector, arguments, read_vectors
from elt_ref.conformance.clauses import clauses
from elt_ref.conformance.compare import departure
from elt_ref.conformance.judge import weigh
from elt_ref.files import write_text
from elt_ref.paper.mistakes import mistakes
from elt_ref.run.specs import specs_folder
from specs.making.mistaken import MistakenPages
from specs.making.wrong import wrong_implementations

DTYPE = "float64"


def refused_by(name: str, vectors: list[Vector]) -> dict[str, float]:
    """Return the ids of the cases whose numbers refuse a wrong implementation, with the departure of its answer."""
    refusing = {}
    for vector in vectors:
        stored = vector.stored
        backend = wrong_implementations()[name]()
        if stored.choice is not None:
            backend.choices = {**backend.choices, stored.choice[0]: stored.choice[1]}
        # Where no changed page reaches, the right package answers, which no case refuses.
        ask = backend.mistaken if isinstance(backend, MistakenPages) else partial(_asked, backend)
        try:
            with np.errstate(all="ignore"):
                answer = ask(stored.operation, arguments(stored.settings, vector.inputs, DTYPE))
        except Exception:  # noqa: BLE001, S112  whatever it raises, its numbers were not refused
            continue
        answer = {key: np.asarray(value) for key, value in answer.items()}
        share, _, _ = weigh(vector, DTYPE, answer, 1.0)
        if share is not None and share > 1:
            refusing[vector.id] = departure(answer, vector.answers or {})
    return refusing


def _asked(backend: Any, operation: str, asked: Mapping[str, Any]) -> Any:
    return getattr(backend, operation)(**asked)


def page(measured: Mapping[str, Mapping[str, float]]) -> str:
    """Return the matrix as Markdown: by clause, and by wrong implementation."""
    refusals = {name: list(dict.fromkeys(case.split("/")[0] for case in row)) for name, row in measured.items()}
    lines = [
        "# The kill matrix",
        "",
        f"{len(clauses())} clauses against {len(refusals)} wrong implementations, written by",
        "`python -m specs.making.matrix`. A clause refuses by its numbers: a well-formed answer that is",
        "out of tolerance in float64. The clause itself lists the names in bold.",
        "",
        "| clause | refuses | wrong implementations |",
        "|---|---|---|",
    ]
    for id_, clause in sorted(clauses().items()):
        names = [name for name, by in refusals.items() if id_ in by]
        shown = ", ".join(f"**{name}**" if name in clause.wrong else name for name in names)
        lines.append(f"| {id_} | {len(names)} | {shown} |")
    lines += ["", "| wrong implementation | its mistake | refused by |", "|---|---|---|"]
    for name, by in refusals.items():
        mistake = mistakes()[name].text.replace("|", "\\|")
        lines.append(f"| {name} | {mistake} | {', '.join(by)} |")
    return "\n".join(lines) + "\n"


def departures(measured: Mapping[str, Mapping[str, float]]) -> str:
    """Return the content of the file for measured departures: a line for each wrong implementation."""
    cases = sorted({case for row in measured.values() for case in row})
    place = {case: number for number, case in enumerate(cases)}
    rows = [
        json.dumps(name) + ": " + json.dumps({str(place[case]): float(f"{gap:.3g}") for case, gap in row.items()})
        for name, row in sorted(measured.items())
    ]
    return f'{{"cases": {json.dumps(cases)},\n"departures": {{\n' + ",\n".join(rows) + "\n}}\n"


def main() -> None:
    """Write the page; exit 1 if a clause refuses nothing or nothing refuses a wrong implementation."""
    vectors = read_vectors()
    names = sorted(wrong_implementations())
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        measured = dict(zip(names, pool.map(partial(refused_by, vectors=vectors), names, chunksize=8), strict=True))
    write_text(Path("docs") / "kill-matrix.md", page(measured))
    write_text(specs_folder() / FILE, departures(measured))
    refusing = {case.split("/")[0] for row in measured.values() for case in row}
    idle = [id_ for id_ in clauses() if id_ not in refusing]
    survivors = [name for name, row in measured.items() if not row]
    if idle or survivors:
        sys.exit(f"clauses that refuse nothing: {idle}; wrong implementations that pass: {survivors}")


if __name__ == "__main__":
    main()
