"""The kill matrix, every clause against every wrong implementation: ``python -m elt_ref.conformance.matrix``.

A clause refuses an implementation if one of its vectors gets a well-formed answer that is out of tolerance in float64.
The result is ``docs/kill-matrix.md``.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from elt_ref.conformance.case import Vector, arguments, read_vectors
from elt_ref.conformance.clauses import clauses
from elt_ref.conformance.judge import weigh
from elt_ref.conformance.wrong import wrong_implementations
from elt_ref.files import write_text

DTYPE = "float64"


def refused_by(name: str, vectors: list[Vector]) -> list[str]:
    """Return the ids of the clauses whose numbers refuse a wrong implementation."""
    refusing = []
    for vector in vectors:
        stored = vector.stored
        if stored.clause in refusing:
            continue
        backend = wrong_implementations()[name]()
        if stored.choice is not None:
            backend.choices = {**backend.choices, stored.choice[0]: stored.choice[1]}
        try:
            answer = getattr(backend, stored.operation)(**arguments(stored.settings, vector.inputs, DTYPE))
        except Exception:  # noqa: BLE001, S112  whatever it raises, its numbers were not refused
            continue
        share, _, _ = weigh(vector, DTYPE, {key: np.asarray(value) for key, value in answer.items()}, 1.0)
        if share is not None and share > 1:
            refusing.append(stored.clause)
    return refusing


def page(refusals: Mapping[str, list[str]]) -> str:
    """Return the matrix as Markdown: by clause, and by wrong implementation."""
    lines = [
        "# The kill matrix",
        "",
        f"{len(clauses())} clauses against {len(refusals)} wrong implementations, written by",
        "`python -m elt_ref.conformance.matrix`. A clause refuses by its numbers: a well-formed answer that is",
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
        mistake = " ".join((wrong_implementations()[name].__doc__ or "").split()).replace("|", "\\|")
        lines.append(f"| {name} | {mistake} | {', '.join(by)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the page; exit 1 if a clause refuses nothing or nothing refuses a wrong implementation."""
    vectors = read_vectors()
    refusals = {name: refused_by(name, vectors) for name in sorted(wrong_implementations())}
    write_text(Path("docs") / "kill-matrix.md", page(refusals))
    idle = [id_ for id_ in clauses() if not any(id_ in by for by in refusals.values())]
    survivors = [name for name, by in refusals.items() if not by]
    if idle or survivors:
        sys.exit(f"clauses that refuse nothing: {idle}; wrong implementations that pass: {survivors}")


if __name__ == "__main__":
    main()
