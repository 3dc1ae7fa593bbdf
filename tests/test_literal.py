"""A user's text is shown as it is: on a terminal, in a figure, in HTML and in Markdown, whatever it contains."""

import ast
import io
import re
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.table import Table

import elt_ref
from elt_ref.errors import RequestError, TrainingError
from elt_ref.literal import in_markdown, plain_ascii, sentence, visible
from elt_ref.terminal import Terminal

HOSTILE = [
    "p[b].png",
    "[/]",
    "[bold red]x[/bold red]",
    ":smile: [link=x]y[/link]",
    "a:100:+1:14",
    "$a$ $$b$$",
    "x$_$y",
    r"\$a\$",
    "$",
    "_x",
    "a|b",
    "<script>alert(1)</script>&amp;",
    "**a** `b` [c](d) ~~e~~ # f",
    "=1+1",
    "\x1b[31mred",
    "two\nlines",
    "a\u202egnp.exe",
    "\u2028",
    "模型",
    "🙂",
    "x\udce9",
    "%s {0} {} $title \\n",
    " ",
]
texts = st.sampled_from(HOSTILE) | st.text(st.characters(codec=None), max_size=30)


@given(texts)
def test_every_character_of_a_visible_text_can_be_seen_on_one_line(text):
    shown = visible(text)
    assert not [each for each in shown if unicodedata.category(each) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}]
    shown.encode()
    assert len(shown.splitlines()) <= 1
    assert visible(shown) == shown
    if text.isprintable():
        assert shown == text


def test_what_cannot_be_seen_is_escaped_as_python_does():
    assert visible("a\n\x1b[1m\u202eb\udcff") == r"a\n\x1b[1m\u202eb\xff"


@given(st.text(max_size=2000))
def test_a_sentence_is_one_line_of_bounded_length(text):
    for error in (RequestError(text), TrainingError(text)):
        assert str(error) == sentence(text)
        assert len(str(error)) <= 300
        assert len(str(error).splitlines()) <= 1


def test_a_long_sentence_keeps_what_and_got():
    cut = str(RequestError(f"file: expected a {'very ' * 100}long one, got none; choose another --out"))
    assert cut.startswith("file: expected a very")
    assert cut.endswith("got none; choose another --out")


@given(texts)
def test_ascii_is_readable_everywhere(text):
    assert plain_ascii(text).isascii()
    assert len(plain_ascii(text)) >= len([each for each in text if unicodedata.category(each)[0] != "M"])


def test_ascii_of_what_we_print():
    assert plain_ascii("λ = ½·2² ≥ 10⁹ × Δ − ├─ é → √x") == "lambda = 1/2*22 >= 109 x Delta - |- e -> sqrt x"


@given(texts)
def test_a_terminal_shows_a_text_as_it_is(text):
    console = Terminal(file=io.StringIO(), width=10_000)
    console.say(text)
    assert console.file.getvalue() == f"{visible(text)}\n"


@given(texts, st.sampled_from([1, 20, 10_000]))
@example("000 0", 20)  # a cell of two lines
def test_a_table_shows_a_text_as_it_is(text, width):
    table = Table(title=text, caption=text)
    table.add_column(text)
    table.add_column("number")
    table.add_row(text, "1,000,000")
    console = Terminal(file=io.StringIO(), width=width)
    console.table(table)
    printed = " ".join(console.file.getvalue().split())
    words = visible(text).split()
    # Narrow: title, "heading: cell", caption. A heading is not told apart from nothing if it is empty. In between, a
    # cell can have several lines, which stand apart.
    for part in words if width == 20 else [" ".join(words)]:
        assert printed.count(part) >= (4 if part else 0), printed
    assert "1,000,000" in printed


@given(texts)
def test_a_figure_shows_a_text_as_it_is(text):
    from matplotlib.text import Text

    from elt_ref.report.figure import ZERO_WIDTH, label

    drawn, mathematics = Text(0, 0, label(text))._preprocess_math(label(text))
    assert not mathematics
    lacking = visible(text) if text.isascii() else None  # the font has ASCII
    if lacking is not None:
        assert drawn.removeprefix(ZERO_WIDTH) == lacking
    assert not label(text).startswith("_")


@pytest.mark.parametrize("name", ["_x", "x$_$y", "模型\n🙂"])
def test_figures_of_runs_with_such_names_are_drawn(tmp_path, name):
    from elt_ref.report.figure import label, new_figure, save_figure
    from elt_ref.report.loss_curves import _legend, draw_loss_curves

    rows = [{"step": step, "teacher_truth": 1.0, "truth_weight": 0.5} for step in (1, 2)]
    draw_loss_curves(tmp_path / "loss.png", {name: rows, "other": rows})
    figure = new_figure(4.0, 3.0)
    axes = figure.subplots()
    axes.plot([0, 1], label=label(name))
    _legend(axes)
    assert len(axes.get_legend().get_texts()) == 1, "the legend leaves the line out"
    save_figure(figure, tmp_path / "one.png")


class Words(HTMLParser):
    def __init__(self):
        super().__init__()
        self.data, self.tags = "", []

    def handle_data(self, data):
        self.data += data

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


@given(texts)
def test_a_page_shows_a_text_as_it_is(text):
    from elt_ref.report.markup import element, escaped, html

    parser = Words()
    parser.feed(html(element("p", text, title=text)) + f"<b>{escaped(text)}</b>")
    parser.close()
    assert parser.data == 2 * visible(text)
    assert parser.tags == [("p", {"title": visible(text)}), ("b", {})]


@given(texts)
def test_markdown_shows_a_text_as_it_is(text):
    parse = MarkdownIt("commonmark").enable("table").parse
    tokens = parse(f"| a | b |\n|---|---|\n| x{in_markdown(text)}x | end |\n")
    cell, end = [token for token in tokens if token.type == "inline"][2:]
    assert all(child.type in {"text", "text_special"} for child in cell.children), cell.children
    shown = "".join(child.content for child in cell.children)
    assert shown.replace("\u200b", "") == f"x{visible(text)}x"
    assert end.content == "end"
    # What MyST and code hosts add: formulas between bare dollars, and emoji by their names in the finished page.
    assert "$" not in re.sub(r"\\.", "", in_markdown(text))
    assert not re.search(r":[a-z0-9_+-]+:", shown)


PRINTING = {"print", "Console", "echo", "secho", "rprint"}


def test_one_place_prints():
    """The pages of the paper import nothing of the package, and the port's folder is a stranger's."""
    room = Path(elt_ref.__file__).parent
    for path in room.rglob("*.py"):
        if path.name == "terminal.py" or path.parent.name == "paper":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func).rpartition(".")[2]
                assert called not in PRINTING or "console" in ast.unparse(node.func), f"{path}:{node.lineno}"
            if isinstance(node, ast.ImportFrom):
                assert node.module not in {"rich.console", "rich.markup", "rich.progress"}, f"{path}:{node.lineno}"
