"""The texts of the repository are plain English: the noun first, active verbs, no participle as a noun."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(path for room in ("elt_ref", "tiny_datasets") for path in (ROOT / room).rglob("*.py"))
PAGES = sorted(
    path
    for place in ("*.md", "docs/**/*.md", "specs/*.md")
    for path in ROOT.glob(place)
    if "_build" not in path.parts and "node_modules" not in path.parts
)
PARTICIPLE = "(?:told|asked|given|found|held)"
VERB = "(?:is|are|was|were|has|have|stays?|comes?|goes|go)"
PATTERNS = {
    "a verb before its noun": re.compile(
        rf"(?:^|[.;:]\s+)(?:{PARTICIPLE}|asked for|left out|printed|measured) (?:is|are|was|were) ", re.IGNORECASE
    ),
    "a participle as a noun": re.compile(
        rf"\b(?:the|those|that|what is|what was|what are|what were) {PARTICIPLE}(?: for| of)?(?:[.,;:)]|$| {VERB}\b)",
        re.IGNORECASE,
    ),
}
THAT_OF = re.compile(r"\b(?:that|those) of\b", re.IGNORECASE)
MOST_LINES_WITH_THAT_OF = 10


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of every docstring, also those that follow a field or a constant."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value


def comments(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of every comment that has a line to itself."""
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line.lstrip().startswith("# "):
            yield number, line.lstrip(" #")


def paragraphs(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of every paragraph of a page, without code blocks."""
    text = re.sub(r"(?ms)^```.*?^```", lambda code: "\n" * code[0].count("\n"), path.read_text("utf-8"))
    start = 1
    for block in re.split(r"(\n\s*\n)", text):
        if block.strip():
            yield start, block
        start += block.count("\n")


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of everything in a file that people read."""
    if path.suffix == ".md":
        yield from paragraphs(path)
    else:
        yield from docstrings(path)
        yield from comments(path)


def faults(path: Path) -> Iterator[str]:
    """Yield place, fault and line of each text that is not plain English."""
    for start, text in texts(path):
        if text.lstrip("\n -*>|").startswith("Of "):
            yield f"{path.relative_to(ROOT)}:{start}: opens with 'Of': {text.strip().splitlines()[0]}"
        for number, line in enumerate(text.splitlines(), start):
            for fault, pattern in PATTERNS.items():
                if pattern.search(line.strip()):
                    yield f"{path.relative_to(ROOT)}:{number}: {fault}: {line.strip()}"


def lines_with_that_of(paths: list[Path]) -> list[str]:
    """Return place and line of every "that of" and "those of" in the texts of modules."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in paths
        for start, text in texts(path)
        for number, line in enumerate(text.splitlines(), start)
        if THAT_OF.search(line)
    ]


@pytest.mark.parametrize("path", [*MODULES, *PAGES], ids=lambda path: str(path.relative_to(ROOT)))
def test_texts_are_plain_english(path):
    found = list(faults(path))
    assert not found, "\n".join(found)


def test_few_lines_say_that_of_or_those_of():
    lines = lines_with_that_of([*MODULES, *PAGES])
    assert len(lines) <= MOST_LINES_WITH_THAT_OF, "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        '"""Of a clip; the setting that cuts each."""',
        "class A:\n    x: int\n    '''Of the N layers.'''",
        "# Told are the median and the quartiles.",
        '"""Return the told."""',
        '"""Sampling. Asked for are three values."""',
        '"""What is given never changes; those found are kept."""',
    ],
)
def test_a_bad_text_is_caught(tmp_path, monkeypatch, text):
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    path = tmp_path / "bad.py"
    path.write_text(text, "utf-8")
    assert list(faults(path))


@pytest.mark.parametrize("text", ["Of a clip, the first frame.", "- Of a clip.", "First.\n\nThose held are counted.\n"])
def test_a_bad_paragraph_is_caught(tmp_path, monkeypatch, text):
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    path = tmp_path / "bad.md"
    path.write_text(text, "utf-8")
    assert list(faults(path))


def test_plain_sentences_pass(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    path = tmp_path / "good.py"
    path.write_text('"""Return the given classes. The held-out part stays.\n\nWe report the median.\n"""', "utf-8")
    assert not list(faults(path))
