"""The one place that prints: texts literally, on streams of any width and encoding, and also when a stream fails.

Sentences are never wrapped, so that paths and commands can be copied. A table whose words do not fit the terminal
becomes a list of its rows.
"""

import codecs
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper, UnsupportedOperation
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
from rich.style import Style
from rich.table import Column, Table
from rich.text import Text

from elt_ref.errors import RequestError
from elt_ref.literal import plain_ascii, visible

FOLDED = 20
"""Characters of a word after which a column that folds may break it."""


class ReaderGoneError(Exception):
    """The reader of stdout has read enough, as ``head`` has after ten lines."""


class Terminal(Console):
    """A console to which every string is one literal line: no markup, no emoji codes, no control characters."""

    def __init__(
        self, *, stderr: bool = False, file: Any = None, width: int | None = None, quiet: bool = False
    ) -> None:
        """Write to stdout, to stderr or to `file`; `width` is in characters, the terminal's by default."""
        if width is None and "COLUMNS" in os.environ:
            width = shutil.get_terminal_size().columns  # which knows that 0 columns are none
        super().__init__(stderr=stderr, file=file, width=width, quiet=quiet, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, *, style: str | Style = "", **_: Any) -> Text:
        """Return the text of a string, whoever prints it: as a sentence, in a cell, as a title."""
        return Text(visible(text), style=style)

    def on_broken_pipe(self) -> None:
        """Leave the exit to the command; raises `ReaderGoneError`."""
        raise ReaderGoneError

    def say(self, *lines: str, style: str | None = None) -> None:
        """Print each string on a line of its own, however long."""
        if lines:
            self.print(*lines, sep="\n", style=style, soft_wrap=True)

    def table(self, table: Table) -> None:
        """Print a table, or if its words need more than the terminal's width, its rows one under the other."""
        if self._fit(table):
            self.print(table)
            return
        self.say(*_filled(_one_line(table.title)))
        headings = [_one_line(column.header) for column in table.columns]
        for row in zip(*(column.cells for column in table.columns), strict=True):
            cells = list(map(_one_line, row))
            if any(headings):
                named = zip(headings, cells, strict=True)
                self.say("", *(f"{heading}: {cell}" if heading else cell for heading, cell in named if cell))
            else:
                self.say(": ".join(cells))
        self.say("", *_filled(_one_line(table.caption)))

    def _fit(self, table: Table) -> bool:
        """Set the widths of the columns so that no word breaks; return whether there is a terminal's width for that."""
        endless = self.options.update_width(sys.maxsize)
        wanted = []
        for column in table.columns:
            sizes = [Measurement.get(self, endless, self._text(cell)) for cell in _all(column)]
            most = max(size.maximum for size in sizes)
            longest = most if column.no_wrap else max(size.minimum for size in sizes)
            column.width = min(longest, FOLDED) if column.overflow == "fold" else longest
            wanted.append(most - column.width)
        spare = self.width - Measurement.get(self, endless, table).minimum
        share = min(1.0, spare / max(1, sum(wanted)))
        for column, more in zip(table.columns, wanted, strict=True):
            column.width = (column.width or 0) + int(max(0.0, share) * more)
        return spare >= 0

    def _text(self, cell: Any) -> Text:
        return cell if isinstance(cell, Text) else self.render_str(cell)

    @contextmanager
    def working(self, words: str) -> Iterator[Callable[[str], None]]:
        """Show what is being done, with a spinner, on a terminal only; yield a function that says what is done now."""
        with self.status(self.render_str(words)) as status:
            yield lambda now: status.update(self.render_str(now))

    def progress(self, fields: str = "", *, transient: bool = False) -> Progress:
        """Return a bar, for a terminal only; `fields` is a format of the task's own fields, shown after the count."""
        columns = (
            _Literal("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            *([_Literal(fields)] if fields else []),
            TimeRemainingColumn(),
        )
        return Progress(*columns, console=self, disable=not self.is_terminal, transient=transient)


class _Literal(TextColumn):
    def render(self, task: Task) -> Text:
        return Text(visible(self.text_format.format(task=task)))


def _all(column: Column) -> tuple[Any, ...]:
    return (column.header, *column.cells)


def _one_line(cell: Any) -> str:
    return " ".join(cell.plain.split()) if isinstance(cell, Text) else visible(cell or "").strip()


def _filled(text: str) -> list[str]:
    return [text] if text else []


def print_json(document: Any) -> None:
    """Print one JSON document on stdout, in ASCII, which every encoding has."""
    print(json.dumps(document, indent=1))  # noqa: T201


def print_text(text: str) -> None:
    """Print our own lines on stdout; what a user named in them must be visible already."""
    print(text)  # noqa: T201


def check_stdout() -> None:
    """Check that stdout takes bytes, before the work whose result it will hold.

    Raises:
        RequestError: it is closed, or can only be read.
    """
    if isinstance(sys.stdout, _Result):
        with sys.stdout.watched(), suppress(UnsupportedOperation):  # a stream in memory has no number
            os.write(sys.stdout.fileno(), b"")


READABLE = "elt_ref.readable"
"""Name of the handler of characters that an encoding lacks."""


def _readable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return plain_ascii(lacking), error.end


codecs.register_error(READABLE, _readable)


@contextmanager
def settled_streams() -> Iterator[None]:
    """Make the three streams safe to use: none is missing, each can print every text, and a failure is known.

    A closed stdin is empty. What stderr cannot take is lost: the exit code tells what happened. If stdout cannot take
    the result, `RequestError` is raised; if its reader has gone, `ReaderGoneError`.
    """
    for number, mode in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            # Else the next file that is opened gets this number, and what is printed goes into it.
            os.open(os.devnull, mode)
    before = sys.stdin, sys.stdout, sys.stderr
    # Bytes go to a stdout that cannot be written, and fail as they should.
    sys.stdin = sys.stdin or open(0, closefd=False, encoding="utf-8")  # noqa: SIM115
    sys.stdout = _Result(sys.stdout or open(1, closefd=False, encoding="utf-8"))  # noqa: SIM115
    sys.stderr = _Stream(sys.stderr or open(2, "w", closefd=False, encoding="utf-8"))  # noqa: SIM115
    try:
        yield
    finally:
        with suppress(RequestError, ReaderGoneError):
            sys.stdout.flush()
        sys.stderr.flush()
        sys.stdin, sys.stdout, sys.stderr = before


class _Stream:
    """A text stream that prints every character, and does not fail."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=READABLE)

    def write(self, text: str) -> int:
        with self.watched():
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self.watched():
            self.stream.flush()

    @contextmanager
    def watched(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            # What is still in the buffer must not fail again when the interpreter ends.
            with suppress(OSError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self.stream.fileno())
                os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":  # which click writes to where the encoding is ASCII
            raise AttributeError(name)
        return getattr(self.stream, name)


class _Result(_Stream):
    """A stream whose first failure is raised, and again at each later use: a library may have caught it."""

    failure: Exception | None = None

    @contextmanager
    def watched(self) -> Iterator[None]:
        if self.failure is not None:
            raise self.failure
        with super().watched():
            try:
                yield
            except BrokenPipeError:
                self.failure = ReaderGoneError()
                raise
            except OSError as error:
                got = error.strerror or "a closed one"
                self.failure = RequestError(f"stdout: expected a stream that takes the result, got {got}")
                raise
        if self.failure is not None:
            raise self.failure
