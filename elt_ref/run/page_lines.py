"""The lines of the pages that compute an equation, read from `elt_ref.paper` itself, so that they cannot drift.

A line is marked by an id in a comment (``# E5.1``): it stands for the whole statement. An id in a function's docstring
stands for the function.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import NamedTuple

PAGES = ("masked.py", "diffusion.py", "drifting.py")


class Excerpt(NamedTuple):
    """Some lines of a page."""

    page: str
    """File name under ``elt_ref/paper``."""
    first: int
    """Number of the first line, from 1."""
    text: str
    """The lines, without their common indentation."""


def page_text(page: str) -> str:
    """Return the text of a page."""
    return (resources.files("elt_ref") / "paper" / page).read_text(encoding="utf-8")


def excerpts(name: str) -> list[Excerpt]:
    """Return the statements and functions that the pages mark with an id, in the order of reading."""
    return [excerpt for page in PAGES for excerpt in _marked(page, name)]


@cache
def _parsed(page: str) -> tuple[list[str], list[ast.stmt], list[tokenize.TokenInfo]]:
    """Return the lines, the statements and the comments of a page."""
    text = page_text(page)
    statements = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.stmt)]
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return text.splitlines(), statements, [token for token in tokens if token.type == tokenize.COMMENT]


def _marked(page: str, name: str) -> Iterator[Excerpt]:
    marks = re.compile(rf"\b{re.escape(name)}\b(?!\.\d)")
    lines, statements, tokens = _parsed(page)
    comments = [token.start[0] for token in tokens if marks.search(token.string)]
    functions = [
        node
        for node in statements
        if isinstance(node, ast.FunctionDef) and marks.search((ast.get_docstring(node) or "").partition("\n")[0])
    ]
    spans = {(node.lineno, node.end_lineno or node.lineno) for node in functions}
    for line in comments:
        around = [(node.lineno, node.end_lineno or node.lineno) for node in statements]
        spans.add(min((span for span in around if span[0] <= line <= span[1]), key=lambda span: span[1] - span[0]))
    for first, last in sorted(spans):
        chosen = lines[first - 1 : last]
        margin = min(len(line) - len(line.lstrip()) for line in chosen if line)
        yield Excerpt(page, first, "\n".join(line[margin:] for line in chosen))
