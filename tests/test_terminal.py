"""What commands print: in every encoding, at every width, and on streams that fail."""

import errno
import io
import json
import os
import sys

import pytest

import elt_ref
from elt_ref.terminal import ReaderGoneError, Terminal, settled_streams

RESULTS = [
    ["--help"],
    ["--version"],
    ["train", "--help"],
    ["show", "E5"],
    ["show", "LOOP-01"],
    ["count", "elt-l-8x3"],
    ["count", "maskgit-l", "--json"],
    ["data", "list"],
    ["data", "show", "digits"],
    ["conform", "list"],
]
"""Commands that print a result on stdout and need no run."""
results = pytest.mark.parametrize("words", RESULTS, ids=" ".join)


class Raw(io.RawIOBase):
    """What is behind a stdout: bytes that are kept, or the same error each time."""

    def __init__(self, number=None):
        super().__init__()
        self.number, self.kept = number, b""

    def writable(self):
        return True

    def write(self, some):
        if self.number is not None:
            raise OSError(self.number, os.strerror(self.number))
        self.kept += bytes(some)
        return len(some)


@pytest.fixture
def printing(monkeypatch):
    """Return ``printing(*words, encoding=, error=, **environment) -> (code, stdout, stderr)``; stdout in bytes."""

    def run(*words, encoding="utf-8", error=None, closed=False, **environment):
        from elt_ref.cli import main

        out, err = Raw(error), Raw()
        # Behind a buffer, as Python's own, so that a small text fails where it is flushed.
        streams = [io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding) for raw in (out, err)]
        monkeypatch.setattr(sys, "argv", ["elt-ref", *map(str, words)])
        monkeypatch.setattr(sys, "stdout", None if closed else streams[0])
        monkeypatch.setattr(sys, "stderr", streams[1])
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as caught:
            main()
        if error is not None:  # as the interpreter would leave them to fail once more
            streams[0].buffer.raw.number = None
        return caught.value.code, out.kept, err.kept.decode(encoding)

    return run


@results
@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-16"])
def test_every_encoding_is_readable(printing, words, encoding):
    code, out, err = printing(*words, encoding=encoding)
    assert (code, err) == (0, "")
    text = out.decode(encoding)
    assert text.strip()
    assert "\\u" not in text, "a character of ours has no ASCII"


def test_an_error_is_readable_too(printing):
    code, out, err = printing("show", "λ🙂", encoding="ascii")
    assert (code, out) == (2, b"")
    assert "got 'lambda\\U0001f642'" in err


def test_json_is_the_same_in_every_encoding(printing):
    documents = [printing("count", "elt-l-8x3", "--json", encoding=each)[1] for each in ("ascii", "utf-8")]
    assert documents[0] == documents[1]
    assert json.loads(documents[0])["paper"]["parameters"] == "101M"


@results
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EBADF])
def test_a_stdout_that_fails_is_told(printing, words, number):
    code, _, err = printing(*words, error=number)
    assert code == 2
    assert err == f"elt-ref: stdout: expected a stream that takes the result, got {os.strerror(number)}\n"


@results
def test_a_reader_that_has_left_is_no_error(printing, words):
    assert printing(*words, error=errno.EPIPE) == (141, b"", "")


def test_a_failure_that_a_library_catches_is_not_forgotten():
    raw = Raw(errno.ENOSPC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(raw, write_through=True))
        with settled_streams():
            for _ in range(2):
                with pytest.raises(ValueError, match="stdout: expected a stream that takes"):
                    sys.stdout.write("x")
        raw.number = errno.EPIPE
        with settled_streams(), pytest.raises(ReaderGoneError):
            sys.stdout.write("x")
        raw.number = None


WORKING = {
    "elt_ref.run.evaluate.evaluate_run": ["evaluate", "run"],
    "elt_ref.bench.command.bench": ["bench"],
    "elt_ref.study.command.run_study": ["study", "parity"],
    "elt_ref.run.describe.import_data": ["data", "import", "npz", "a", "b"],
    "elt_ref.conformance.commands.run_smoke": ["conform", "smoke", "a:B"],
    "elt_ref.conformance.commands.run": ["conform", "run", "a:B"],
    "elt_ref.conformance.commands.exported_inquiry": ["conform", "judge", "a"],
    "elt_ref.learn.commands.check": ["learn", "check", "a"],
    "elt_ref.learn.commands.grade_all": ["learn", "grade", "a"],
}
"""Commands whose result is worth more than the wait for it, by what they begin with."""


@pytest.mark.parametrize("work", WORKING)
def test_a_closed_stdout_is_told_before_the_work(printing, monkeypatch, tmp_path, work):
    monkeypatch.setattr(work, lambda *_, **__: pytest.fail("the work began"))
    with (tmp_path / "closed").open("w+") as file, (tmp_path / "closed").open() as unwritable:
        monkeypatch.setattr(Raw, "fileno", lambda _: unwritable.fileno())
        code, _, err = printing(*WORKING[work])
        assert file.read() == ""
    assert code == 2
    assert err == "elt-ref: stdout: expected a stream that takes the result, got Bad file descriptor\n"


NARROW = ["0", "1", "20", "39", "79", "200", "-1", "wide", "100000"]


@pytest.mark.parametrize("columns", NARROW)
def test_no_number_and_no_help_is_cut_at_any_width(printing, columns):
    _, counted, _ = printing("count", "elt-l-8x3", COLUMNS=columns)
    counted = counted.decode()
    for words in ("100,769,792", "3,881,176,399,872", "multiply-adds", "101M"):
        assert words in counted, f"'{words}' is cut:\n{counted}"
    assert "…" not in counted
    lines = [line for line in counted.splitlines() if line[:1] in "┌│└"]
    assert len({len(line) for line in lines}) <= 2, f"a border is cut:\n{counted}"
    helped = " ".join(printing("--help", COLUMNS=columns)[1].decode().split())
    assert "both families on digits, and compare them at every loop count." in helped
    assert "..." not in helped.partition("Commands:")[2]


def test_a_table_that_does_not_fit_becomes_a_list(printing):
    _, listed, _ = printing("data", "list", COLUMNS="30")
    assert "\nname: digits\nkind: pictures\n" in listed.decode()
    _, listed, _ = printing("conform", "list", COLUMNS="30")
    assert "\nclause: LOOP-01\nlevel: " in listed.decode()


def test_no_colour_no_escape(monkeypatch):
    class Screen(io.StringIO):
        def isatty(self):
            return True

    for changes, coloured in (({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False)):
        for name, value in changes.items():
            monkeypatch.setenv(name, value)
        console = Terminal(file=Screen())
        console.say("words", style="red")
        assert ("\x1b[31m" in console.file.getvalue()) == coloured


def test_version_and_completion(printing):
    assert printing("--version")[1].decode() == f"elt-ref {elt_ref.__version__}\n"
    words = {"_ELT_REF_COMPLETE": "complete_bash", "COMP_WORDS": "elt-ref co", "COMP_CWORD": "1"}
    assert printing(**words)[1].split() == [b"compare", b"count", b"conform"]


@pytest.mark.parametrize("lacking", [{}, {"COMP_WORDS": "elt-ref"}, {"COMP_WORDS": "elt-ref", "COMP_CWORD": "x"}])
def test_completion_without_the_words_of_a_shell(printing, lacking):
    code, out, err = printing(_ELT_REF_COMPLETE="complete_bash", **lacking)
    assert (code, out, err.count("\n")) == (2, b"", 1), err
    assert err.startswith("elt-ref: _ELT_REF_COMPLETE: expected COMP_WORDS and a number COMP_CWORD beside it, got ")
