"""The command line as a process: interpreters' flags, encodings, widths, streams and homes that people have."""

import json
import os
import shlex
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import elt_ref

PROJECT = Path(elt_ref.__file__).parent.parent
RESULT_COMMANDS = [
    ["--help"],
    ["--version"],
    ["show", "E5"],
    ["count", "elt-l-8x3"],
    ["count", "maskgit-l", "--json"],
    ["data", "list"],
    ["data", "show", "digits"],
    ["conform", "list"],
]
"""Commands that print a result on stdout and need no run."""
TINY = [
    *(
        "digits-masked",
        "--steps",
        "2",
        "--set",
        "model.width=8",
        "--set",
        "model.heads=1",
        "--set",
        "model.mlp_width=8",
    ),
    *("--set", "model.layers=1", "--set", "model.max_loops=2", "--set", "training.batch_size=4"),
]


def environment(**changes):
    """Return the environment with changes; None removes a variable."""
    merged = {**os.environ, "PYTHONPATH": str(PROJECT), **changes}
    return {name: value for name, value in merged.items() if value is not None}


def run(*words, flags=(), env=None, **more):
    more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **more}
    return subprocess.run(
        [sys.executable, *flags, "-m", "elt_ref", *map(str, words)],
        env=environment(**(env or {})),
        check=False,
        timeout=120,
        **more,
    )


def shell(script, **more):
    return subprocess.run(
        ["/bin/sh", "-c", script], env=environment(), capture_output=True, check=False, timeout=120, **more
    )


PROGRAM = f"{shlex.quote(sys.executable)} -m elt_ref"


def clean(done, code=0):
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert b"Traceback" not in done.stderr, done.stderr
    if code == 2:
        assert done.stderr.startswith(b"elt-ref: "), done.stderr
        assert done.stderr.count(b"\n") == 1, done.stderr
    return done


# --- how it is started


@pytest.mark.parametrize("module", ["elt_ref", "elt_ref.cli"])
def test_the_module_is_the_program(module, tmp_path):
    words = [sys.executable, "-m", module, "count", "maskgit-l", "--json"]
    done = subprocess.run(words, env=environment(), cwd=tmp_path, capture_output=True, check=True)
    assert json.loads(done.stdout)["layers"] == 24


def test_version():
    assert clean(run("--version")).stdout.decode() == f"elt-ref {elt_ref.__version__}\n"


def test_completion_proposes_the_commands():
    done = run(env={"_ELT_REF_COMPLETE": "complete_bash", "COMP_WORDS": "elt-ref co", "COMP_CWORD": "1"})
    assert done.stdout.split() == [b"compare", b"count", b"conform"]


@pytest.mark.parametrize("flags", [["-W", "error"], ["-O"], ["-OO"], ["-X", "utf8=0"]], ids="".join)
def test_flags_of_the_interpreter(flags, tmp_path):
    shown = clean(run("--help", flags=flags)).stdout
    assert b"Train a model into a run folder." in shown, "a help text is gone"
    assert clean(run("show", "E5", flags=flags, env={"PYTHONIOENCODING": "utf-8"})).stdout == run("show", "E5").stdout
    clean(run("train", *TINY, "--out", tmp_path / "run", flags=flags))
    clean(run("sample", tmp_path / "run", "--out", tmp_path / "one.png", flags=flags))


def test_laws_are_named_without_docstrings():
    """Under -OO there is no docstring."""
    code = "from elt_ref.conformance.fresh.laws import LAWS; print(all(each.law.words for each in LAWS))"
    done = subprocess.run([sys.executable, "-OO", "-c", code], env=environment(), capture_output=True, check=True)
    assert done.stdout == b"True\n"


# --- where it prints


@pytest.mark.parametrize("words", RESULT_COMMANDS, ids=" ".join)
@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_every_encoding_is_readable(words, encoding):
    done = clean(run(*words, env={"PYTHONIOENCODING": encoding}))
    text = done.stdout.decode(encoding)
    assert text.strip()
    assert not done.stderr
    assert "\\u" not in text.replace("\\u202e", ""), "a character of ours has no ASCII"
    assert "?" not in text or words in (["show", "E5"], ["--help"], ["conform", "list"])


def test_json_is_the_same_in_every_encoding():
    assert run("count", "elt-l-8x3", "--json", env={"PYTHONIOENCODING": "ascii"}).stdout == (
        run("count", "elt-l-8x3", "--json").stdout
    )


def test_the_locale_c(tmp_path):
    env = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    clean(run("show", "E5", env=env))
    clean(run("train", *TINY, "--out", tmp_path / "λ", env=env))
    clean(run("sample", tmp_path / "λ", "--out", tmp_path / "é.png", env=env))
    assert (tmp_path / "é.png").exists()


@pytest.mark.parametrize("columns", ["0", "1", "20", "39", "79", "200", "-1", "wide"])
def test_no_number_is_cut_at_any_width(columns):
    env = {"COLUMNS": columns}
    counted = clean(run("count", "elt-l-8x3", env=env)).stdout.decode()
    for words in ("100,769,792", "3,881,176,399,872", "multiply-adds a forward pass", "101M"):
        assert words in counted, f"'{words}' is cut:\n{counted}"
    assert "…" not in counted
    helped = " ".join(clean(run("--help", env=env)).stdout.decode().split())
    assert (
        "Train ILSD and plain looped transformers of both families on digits, and compare them at every loop" in helped
    )
    assert "..." not in helped


def test_the_catalogue_in_a_narrow_terminal():
    listed = clean(run("data", "list", env={"COLUMNS": "30"})).stdout.decode()
    assert "name: digits\nkind: pictures\n" in listed


@pytest.mark.parametrize("words", RESULT_COMMANDS, ids=" ".join)
def test_a_full_disk_is_told(words):
    with Path("/dev/full").open("w") as full:
        done = clean(run(*words, stdout=full), code=2)
    assert b"No space left on device" in done.stderr


@pytest.mark.parametrize("words", RESULT_COMMANDS, ids=" ".join)
def test_a_closed_stdout_is_told(words):
    done = shell(f"{PROGRAM} {shlex.join(words)} >&-")
    clean(done, code=2)
    assert b"stdout: expected" in done.stderr


@pytest.mark.parametrize("words", [["show", "E5"], ["count", "nothing"]], ids=" ".join)
def test_without_stderr_the_exit_code_tells(words):
    code = 0 if words[0] == "show" else 2
    done = shell(f"{PROGRAM} {shlex.join(words)} 2>&-")
    assert (done.returncode, done.stderr) == (code, b"")
    assert shell(f"{PROGRAM} {shlex.join(words)} 2>/dev/full").returncode == code
    assert shell(f"{PROGRAM} {shlex.join(words)} >&- 2>&-").returncode == 2


def test_a_reader_that_leaves():
    """The reader closes its end before the first byte, so that there is no race."""
    read, write = os.pipe()
    os.close(read)
    try:
        for words in RESULT_COMMANDS:
            done = run(*words, stdout=write)
            assert (done.returncode, done.stderr) == (141, b""), words
    finally:
        os.close(write)


def test_all_streams_closed_leave_a_whole_run(tmp_path):
    """A file that gets the number of a closed stream would receive what is printed."""
    folder = tmp_path / "run"
    done = shell(f"{PROGRAM} train {shlex.join(TINY)} --out {folder} <&- >&- 2>&-")
    assert done.returncode == 0
    clean(run("sample", folder, "--out", tmp_path / "one.png"))


def test_no_colour_no_escape():
    for env in ({"NO_COLOR": "1"}, {"NO_COLOR": "1", "TERM": "dumb"}, {"TERM": None}):
        for words in (["conform", "list"], ["count", "elt-l-8x3"], ["--help"]):
            assert b"\x1b" not in clean(run(*words, env=env)).stdout


# --- where it is


def test_a_program_that_ignores_ctrl_c_from_its_start(tmp_path):
    """As nohup and a script's `&` start it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        clean(run("train", *TINY, "--out", tmp_path / "run"))
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("home", ["missing", "file", "read-only", "none"])
def test_a_home_that_cannot_be_used(home, tmp_path):
    place = tmp_path / "home"
    if home == "file":
        place.touch()
    if home == "read-only":
        place.mkdir()
        place.chmod(stat.S_IRUSR | stat.S_IXUSR)  # root may write all the same
    unset = ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "MPLCONFIGDIR")
    env = {**dict.fromkeys(unset), "HOME": None if home == "none" else str(place)}
    clean(run("data", "list", env=env))
    clean(run("train", *TINY, "--out", tmp_path / "a", env=env))
    clean(run("train", *TINY, "--out", tmp_path / "b", "--seed", "1", env=env))
    done = clean(run("compare", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "both", "--count", 10, env=env))
    assert done.stderr.startswith(b" "), f"more than the table is on stderr: {done.stderr}"


def test_a_folder_with_spaces_quotes_and_markup(tmp_path):
    folder = tmp_path / """it's "a" [b]folder[/b] $x_1$"""
    folder.mkdir()
    clean(run("train", *TINY, "--out", "_x$_$y", cwd=folder))
    clean(run("train", *TINY, "--out", "[red]z", "--seed", 1, cwd=folder))
    done = clean(run("sample", "_x$_$y", "--out", "p[b].png", cwd=folder))
    assert done.stderr.decode() == "Wrote 100 samples to p[b].png.\n"
    done = clean(run("compare", "_x$_$y", "[red]z", "--count", 10, "--out", "a b", cwd=folder))
    assert "• _x$_$y: the worst" in done.stderr.decode()
    assert "• [red]z: the worst" in done.stderr.decode()
    assert "<h5>_x$_$y</h5>" in (folder / "a b" / "report.html").read_text("utf-8")


def test_a_name_that_is_not_utf_8_or_speaks_to_the_terminal(tmp_path):
    for name in (b"caf\xe9", "a\u202e\x1b[31m\nb".encode()):
        folder = tmp_path / os.fsdecode(name)
        clean(run("train", *TINY, "--out", folder))
        done = clean(run("sample", folder, "--out", tmp_path / f"{os.fsdecode(name)}.png"))
        assert done.stderr.count(b"\n") == 1
        assert b"\x1b" not in done.stderr
        clean(run("compare", folder, "--out", folder / "c", "--count", 10))
        clean(run("sample", folder / "nothing", "--out", "x.png"), code=2)
