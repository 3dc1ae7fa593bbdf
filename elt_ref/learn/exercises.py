"""The table of exercises, ``specs/exercises.toml``, and the pages' functions that it names."""

import ast
from functools import cache
from typing import Literal

from pydantic import Field

from elt_ref.conformance.strict import Strict
from elt_ref.paper.mistakes import mistakes, page_text
from elt_ref.run.specs import read_toml


class Exercise(Strict):
    """One function to fill in; the page's own body is its solution."""

    page: Literal["masked", "diffusion"]
    function: str
    title: str
    formula: str
    shapes: str
    hint: str
    uses: list[str]
    """Names of the page that help."""
    equations: list[str]
    """Equations and algorithms that it computes."""
    clauses: list[str] = Field(min_length=1)
    """What the judge asks about it."""
    look: Literal["values", "shapes", "nothing"]
    """What of its calls is compared with the page's."""

    @property
    def name(self) -> str:
        """``page.function``, which no other exercise has."""
        return f"{self.page}.{self.function}"

    @property
    def file(self) -> str:
        """The student's file."""
        return f"{self.page}.py"


@cache
def exercises() -> dict[str, Exercise]:
    """Return the exercises by name, in their order."""
    table = [Exercise.model_validate(entry) for entry in read_toml("exercises.toml")["exercise"]]
    return {exercise.name: exercise for exercise in table}


def pages() -> list[str]:
    """Return the pages that have exercises, in their order."""
    return list(dict.fromkeys(exercise.page for exercise in exercises().values()))


def functions(text: str) -> dict[str, ast.FunctionDef]:
    """Return the functions of a file at its top level, by name; of two with one name, the last.

    Raises:
        SyntaxError: it is no Python.
    """
    return {node.name: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}


@cache
def page_lines(page: str) -> dict[str, range]:
    """Return the lines, from 1, of each function of a page."""
    return {
        name: range(node.lineno, (node.end_lineno or node.lineno) + 1)
        for name, node in functions(page_text(page)).items()
    }


@cache
def mistakes_in(exercise_name: str) -> frozenset[str]:
    """Return the known mistakes that change lines of an exercise's function."""
    exercise = exercises()[exercise_name]
    lines, text = page_lines(exercise.page)[exercise.function], f"\n{page_text(exercise.page)}"
    found = set()
    for mistake in mistakes().values():
        for change in mistake.changes:
            if change.page == exercise.page:
                first = text[: text.index(f"\n{change.old}\n")].count("\n") + 1
                if set(lines) & set(range(first, first + change.old.count("\n") + 1)):
                    found.add(mistake.name)
    return frozenset(found)
