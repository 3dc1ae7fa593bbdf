"""The table of exercises, ``specs/exercises.toml``, and the pages' functions that it names."""

import ast
from functools import cache
from typing import Any, Literal

from pydantic import Field

from elt_ref.conformance.strict import Strict
from elt_ref.paper.mistakes import mistakes, page_text
from elt_ref.run.specs import read_toml


class CallOf(Strict):
    """A call of the function alone."""

    slug: str
    why: str
    arguments: dict[str, Any]
    """Arrays as lists, in the function's order; a number is the seed of a generator."""


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
    read: list[str] | None = None
    """What to read about it, if not its equations and clauses; the clauses may be about what uses it."""
    look: Literal["values", "shapes", "nothing"]
    """What of its calls is compared with the page's."""
    call: list[CallOf] = Field(default=[])
    """Calls with arguments that no question of the judge has."""

    @property
    def name(self) -> str:
        """``page.function``, which no other exercise has."""
        return f"{self.page}.{self.function}"

    @property
    def reading(self) -> list[str]:
        """What to read about it."""
        return [*self.equations, *self.clauses] if self.read is None else self.read

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


def given_parts(text: str | bytes) -> dict[str, str]:
    """Return what stands at the top level of a file and is no exercise, by name, without its comments and layout.

    Raises:
        SyntaxError: it is no Python.
    """
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            node.body = node.body[ast.get_docstring(node) is not None :] or [ast.Pass()]
            found[node.name] = ast.dump(node)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {f"import of {each.asname or each.name}": ast.dump(node) for each in node.names}
        elif isinstance(node, ast.If):
            found[f"if {ast.unparse(node.test)}"] = ast.dump(node)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                found |= {name: ast.dump(value) for name, value in _assigned(target, node.value)}
    return found


def _assigned(target: ast.expr, value: ast.expr) -> list[tuple[str, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        return [pair for each in zip(target.elts, value.elts, strict=True) for pair in _assigned(*each)]
    return [(ast.unparse(target), value)]


def differing(page: str, text: str | bytes) -> list[str]:
    """Return the parts of a page that are no exercises and differ in a student's file, in the page's order."""
    own, written = {each.function for each in exercises().values() if each.page == page}, given_parts(text)
    given = {name: part for name, part in given_parts(page_text(page)).items() if name not in own}
    return [name for name, part in given.items() if written.get(name) != part]


@cache
def page_lines(page: str) -> dict[str, range]:
    """Return the lines, from 1, of each function of a page."""
    return {
        name: range(node.lineno, (node.end_lineno or node.lineno) + 1)
        for name, node in functions(page_text(page)).items()
    }


@cache
def mistakes_of(page: str) -> list[str]:
    """Return the known mistakes that change lines of a page; first those that change no other."""
    of_page = [each for each in mistakes().values() if page in {change.page for change in each.changes}]
    return [each.name for each in sorted(of_page, key=lambda each: (len({c.page for c in each.changes}), each.name))]


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
