"""Automatic mutants of the package's core: one small change of the source each, made without knowing the algorithm.

An operator, a comparison, a number, a truth value or a condition is changed, two branches are swapped, or a statement
is dropped. Annotations, docstrings and what raises an error stay: no question and no test is about their numbers.
The −1 of a reshape becomes 1, but not −2, which NumPy takes for the same.
"""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

CORE = (
    "elt_ref/model",
    "elt_ref/objective",
    "elt_ref/generation",
    "elt_ref/ops",
    "elt_ref/schedules/noise.py",
    "elt_ref/schedules/steps.py",
    "elt_ref/training/step.py",
    "elt_ref/training/optimizer.py",
)
"""What is mutated: files, and folders with all their files."""
OPERATORS: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


class Mutant(NamedTuple):
    """One change of one file."""

    path: str
    """Path of the file in the checkout."""
    line: int
    """First line that changes, from 1."""
    before: str
    after: str
    source: str
    """The whole file with the change."""
    lines: tuple[int, ...]
    """Lines of the statement that changes; of a loop, a condition or a function, those of its head."""
    outside: bool
    """Whether it is outside of functions, where statements run at the import."""
    answers: bool = True
    """Whether it could change an answer: not where work is counted or an argument is checked."""

    @property
    def name(self) -> str:
        """The change in one line."""
        return f"{self.path}:{self.line}: {' '.join(self.before.split())} → {' '.join(self.after.split())}"


def core_files(root: Path, core: Sequence[str] = CORE) -> list[Path]:
    """Return the files to mutate, without those that only collect names."""
    found = [
        file for place in core for file in ([root / place] if place.endswith(".py") else (root / place).glob("*.py"))
    ]
    return sorted(file for file in found if file.name != "__init__.py")


def mutants(root: Path, core: Sequence[str] = CORE) -> Iterator[Mutant]:
    """Yield every mutant of the core."""
    for file in core_files(root, core):
        text = file.read_text(encoding="utf-8")
        tree, path = ast.parse(text), file.relative_to(root).as_posix()
        where = _statements(tree)
        silent = {id(node) for call in ast.walk(tree) if _is_silent(call) for node in ast.walk(call)}
        left_over = {id(number) for call in ast.walk(tree) for number in _sizes_left_over(call)}
        for node, other in _changes(tree):
            if id(node) in left_over:
                continue
            before = ast.get_source_segment(text, node) or ""
            answers = id(node) not in silent and path != COUNTER
            yield Mutant(path, node.lineno, before, other, _replaced(text, node, other), *where[id(node)], answers)


COUNTER = "elt_ref/ops/counter.py"
"""Counts work, and nothing else."""


def _is_silent(node: ast.AST) -> bool:
    """Return whether code counts work or checks an argument: ``count_work(…)``, ``check_integers(…)``, ``strict=``."""
    match node:
        case ast.Expr(ast.Call(ast.Name(name) | ast.Attribute(_, name))):
            return name.startswith(("count_", "check"))
        case ast.keyword("strict"):
            return True
        case _:
            return False


def _sizes_left_over(node: ast.AST) -> list[ast.expr]:
    """Return the 1 of each −1 among the sizes of a ``reshape``."""
    match node:
        case ast.Call(ast.Attribute(_, "reshape"), sizes):
            return [size.operand for size in sizes if isinstance(size, ast.UnaryOp)]
        case _:
            return []


def _statements(tree: ast.Module) -> dict[int, tuple[tuple[int, ...], bool]]:
    """Return the lines of the innermost statement around every node, and whether it is outside of functions, by id."""
    found: dict[int, tuple[tuple[int, ...], bool]] = {}
    inside = {id(node) for each in ast.walk(tree) if isinstance(each, ast.FunctionDef) for node in ast.walk(each)}
    for statement in ast.walk(tree):  # from the outside in
        if isinstance(statement, ast.stmt):
            body = getattr(statement, "body", None)
            last = body[0].lineno - 1 if body else (statement.end_lineno or statement.lineno)
            lines = tuple(range(statement.lineno, max(statement.lineno, last) + 1))
            found |= {id(node): (lines, id(statement) not in inside) for node in ast.walk(statement)}
    return found


def _replaced(text: str, node: ast.expr | ast.stmt, other: str) -> str:
    """Return a text with other code in the place of a node; later lines keep their numbers."""
    lines = text.encode().splitlines(keepends=True)
    assert node.end_lineno is not None, "it was parsed from a text"  # noqa: S101
    first, last = node.lineno - 1, node.end_lineno - 1
    head, tail = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
    code, rest = other.encode(), b"\n" * (last - first)
    lines[first : last + 1] = [head + (b"(%b%b)" % (code, rest) if isinstance(node, ast.expr) else code + rest) + tail]
    return b"".join(lines).decode()


def _changes(tree: ast.Module) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """Yield every node to change, and its other code."""
    for node in _executed(tree):
        yield from _of_expression(node) if isinstance(node, ast.expr) else _of_statement(node)


def _executed(node: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """Yield the statements and expressions that compute something, from the outside in."""
    if isinstance(node, ast.Raise | ast.Import | ast.ImportFrom | ast.Assert | ast.JoinedStr):
        return
    if isinstance(node, ast.If) and isinstance(node.body[-1], ast.Raise):
        for each in node.orelse:
            yield from _executed(each)
        return
    if isinstance(node, ast.expr | ast.stmt):
        yield node
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "type_params", "bases", "keywords"} and not (
            name == "keywords" and isinstance(node, ast.Call)
        ):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_docstring(child):
                yield from _executed(child)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _of_expression(node: ast.expr) -> Iterator[tuple[ast.expr, str]]:
    match node:
        case ast.BinOp(left, op, right) if type(op) in OPERATORS:
            yield node, ast.unparse(ast.BinOp(left, OPERATORS[type(op)](), right))
        case ast.Compare(left, [op], [right]) if type(op) in OPERATORS:
            yield node, ast.unparse(ast.Compare(left, [OPERATORS[type(op)]()], [right]))
        case ast.BoolOp(op, values):
            yield node, ast.unparse(ast.BoolOp(OPERATORS[type(op)](), values))
        case ast.UnaryOp(ast.USub() | ast.Not(), operand):
            yield node, ast.unparse(operand)
        case ast.IfExp(test, body, orelse):
            yield node, ast.unparse(ast.IfExp(test, orelse, body))
        case ast.Constant(bool() as value):
            yield node, str(not value)
        case ast.Constant(int() as value):
            yield node, str(value + 1)
        case ast.Constant(float() as value):
            yield node, repr(1.1 * value if value else 0.1)
        case _:
            return


def _of_statement(node: ast.stmt) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    match node:
        case ast.AugAssign(target, op, value) if type(op) in OPERATORS:
            yield node, ast.unparse(ast.AugAssign(target, OPERATORS[type(op)](), value))
            yield node, "pass"
        case ast.Expr(ast.Call()) | ast.Continue() | ast.Break():
            yield node, "pass"
        case ast.Assign([ast.Subscript() | ast.Attribute()], _):
            yield node, "pass"
        case ast.If(test, _, [_, *_]):
            yield test, f"not ({ast.unparse(test)})"
        case _:
            return
