"""Docstrings as reStructuredText: in ours, `|x|` is a norm and not a substitution, and a star is a star."""

import re
from typing import Any

from sphinx.application import Sphinx

MARKUP = re.compile(r"(?<!^)[|*](?! )|[|*](?=\S)|(?<=\w)_(?!\w)")
"""Bars, stars and final underscores that open no bullet."""


def plain(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:  # noqa: ARG001
    """Escape what reStructuredText would read as markup, outside literals."""
    for number, line in enumerate(lines):
        parts = re.split(r"(``.*?``|`[^`]*`)", line)
        lines[number] = "".join(part if part.startswith("`") else MARKUP.sub(r"\\\g<0>", part) for part in parts)


def skip(app: Sphinx, what: str, name: str, thing: Any, skipped: bool, options: Any) -> bool | None:  # noqa: ARG001
    """Leave out the fields of named tuples that have no docstring but Python's own."""
    return True if (getattr(thing, "__doc__", None) or "").startswith("Alias for field number") else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx, before napoleon reads the sections."""
    app.connect("autodoc-process-docstring", plain, priority=900)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
