"""The domain on one page: ``python -m specs.making.domain_page`` writes ``specs/domain.md``."""

import json
from pathlib import Path

from elt_ref.conformance.fresh.domain import quantities
from elt_ref.conformance.fresh.drawer import Drawer
from elt_ref.conformance.fresh.subjects import QUESTIONS
from elt_ref.conformance.operations import OPERATIONS
from elt_ref.files import write_text
from elt_ref.streams import stream

DRAWS = 80
"""Questions of an operation that are looked at for its quantities."""
SILENT = ("default", "numbers")
"""Quantities that every operation has."""
HEAD = """# The documented domain

Written by `python -m specs.making.domain_page` from `specs/domain.toml` and from the questions that the
judge draws. An implementation must be right for all of these values and for all their combinations, as far as the
quantities allow: a head count divides the width, a student has fewer loops than the teacher. `elt-ref conform run`
draws its fresh questions from this domain. Only some of the largest sizes are drawn at once, so that a question takes a
fraction of a second.

Numbers are standard normal, six times larger, half of them zero, or small quarters that are exact in binary. Parameters
keep a network's activations near 1. Ties are part of the domain where the specification orders them: among confidences,
in an order of masking, among codes at the same distance. Any other decision that rounding could change is left out.

## Quantities

| quantity | values | meaning |
|---|---|---|
"""


def page() -> str:
    """Return the page as Markdown."""
    lines = [
        f"| `{name}` | {', '.join(dict.fromkeys(map(_text, quantity.values)))} | {quantity.meaning} |"
        for name, quantity in quantities().items()
    ]
    lines += ["", "## Operations", "", "| operation | quantities that vary |", "|---|---|"]
    lines += [f"| `{operation}` | {', '.join(f'`{name}`' for name in varied(operation))} |" for operation in OPERATIONS]
    return HEAD + "\n".join(lines) + "\n"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def varied(operation: str) -> list[str]:
    """Return the quantities in the questions of an operation, in the order of the domain."""
    met: set[str] = set()
    for number in range(DRAWS):
        drawer = Drawer({}, stream(0, f"domain/{operation}", number))
        QUESTIONS[operation](drawer)
        met |= set(drawer.values)
    return [name for name in quantities() if name in met.difference(SILENT)]


if __name__ == "__main__":
    write_text(Path("specs") / "domain.md", page())
