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


@pytest.mark.slow
@pytest.mark.parametrize("flags", [["-W", "error"], ["-O"], ["-OO"], ["-X", "utf8=0"]], ids="".join)
def test_flags_of_the_interpreter(flags, tmp_path):
    shown = clean(run("--help", flags=flags)).stdout
    assert b"Train a model into a run folder." in shown, "a help text is gone"
    assert clean(run("show", "E5", flags=flags, env={"PYTHONIOENCODING": "utf-8"})).stdout == run("show", "E5").stdout
    clean(run("train", *TINY, "--out", tmp_path / "run", flags=flags))
    clean(run("sample", tmp_path / "run", "--out", tmp_path / "one.png", flags=flags))


@pytest.mark.parametrize("module", ["elt_ref.run.fit_feature_network", "elt_ref.study.page", "specs.making.check"])
def test_a_module_that_is_a_program_is_helpful(module):
    for words, code in (("--help",), 0), ((), 2), (("nothing",), 2):
        program = [sys.executable, "-m", module, *words]
        done = subprocess.run(program, cwd=PROJECT, env=environment(), capture_output=True, check=False)
        assert done.returncode == code, done.stderr
        assert b"Traceback" not in done.stderr
        assert (done.stderr or done.stdout).startswith(b"usage: python -m ")


def test_laws_are_named_without_docstrings():
    """Under -OO there is no docstring."""
    code = "from elt_ref.conformance.fresh.laws import LAWS; print(all(each.law.words for each in LAWS))"
    done = subprocess.run([sys.executable, "-OO", "-c", code], env=environment(), capture_output=True, check=True)
    assert done.stdout == b"True\n"


# --- its streams


@pytest.mark.slow
def test_the_locale_c(tmp_path):
    env = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    clean(run("show", "E5", env=env))
    clean(run("train", *TINY, "--out", tmp_path / "λ", env=env))
    clean(run("sample", tmp_path / "λ", "--out", tmp_path / "é.png", env=env))
    assert (tmp_path / "é.png").exists()


@pytest.mark.whole
def test_a_full_disk_a_closed_stdout_and_a_reader_that_left():
    with Path("/dev/full").open("w") as full:
        assert b"got No space left on device" in clean(run("show", "E5", stdout=full), code=2).stderr
    assert b"got a closed one" in clean(shell(f"{PROGRAM} show E5 >&-"), code=2).stderr
    read, write = os.pipe()
    os.close(read)  # before the first byte, so that there is no race
    done = run("show", "E5", stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.slow
@pytest.mark.parametrize("words", RESULT_COMMANDS, ids=" ".join)
def test_without_stderr_the_exit_code_tells(words):
    assert shell(f"{PROGRAM} {shlex.join(words)} 2>&-").returncode == 0
    assert shell(f"{PROGRAM} {shlex.join(words)} 2>/dev/full").returncode == 0
    assert shell(f"{PROGRAM} {shlex.join(words)} >&- 2>&-").returncode == 2
    assert shell(f"{PROGRAM} count nothing 2>&-").returncode == 2


@pytest.mark.whole
def test_all_streams_closed_leave_a_whole_run(tmp_path):
    """A file that gets the number of a closed stream would receive what is printed."""
    folder = tmp_path / "run"
    done = shell(f"{PROGRAM} train {shlex.join(TINY)} --out {folder} <&- >&- 2>&-")
    assert done.returncode == 0
    clean(run("sample", folder, "--out", tmp_path / "one.png"))


# --- where it is


@pytest.mark.slow
def test_a_program_that_ignores_ctrl_c_from_its_start(tmp_path):
    """As nohup and a script's `&` start it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        clean(run("train", *TINY, "--out", tmp_path / "run"))
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.slow
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
    assert done.stderr.startswith(b"Quality"), f"more than the table is on stderr: {done.stderr}"


@pytest.mark.parametrize("file", ["matplotlibrc", "stylelib/a.mplstyle"])
def test_settings_of_matplotlib_that_cannot_be_used(file, tmp_path):
    words, env = ("data", "show", "digits", "--out", tmp_path / "a.png"), {"MPLBACKEND": "garbage"}
    clean(run(*words, env=env))
    env["MPLCONFIGDIR"] = str(tmp_path)
    (tmp_path / "stylelib").mkdir()
    (tmp_path / file).write_bytes(b"lines.color: \xe9\n")
    told = clean(run(*words, env=env), code=2).stderr
    assert b"matplotlib: expected settings that it can read (matplotlibrc, styles), got 'utf-8' codec" in told


@pytest.mark.whole
def test_a_folder_with_spaces_quotes_and_markup(tmp_path):
    folder = tmp_path / """it's "a" [b]folder[b] $x_1$"""
    folder.mkdir()
    clean(run("train", *TINY, "--out", "_x$_$y", cwd=folder))
    clean(run("train", *TINY, "--set", "objective.kind=vanilla", "--out", "[red]z", cwd=folder))
    done = clean(run("sample", "_x$_$y", "--out", "p[b].png", cwd=folder))
    assert done.stderr.decode() == "Wrote 100 samples to p[b].png.\n"
    done = clean(run("compare", "_x$_$y", "[red]z", "--count", 10, "--out", "a b", cwd=folder))
    assert "• _x$_$y: the worst" in done.stderr.decode()
    assert "• [red]z: the worst" in done.stderr.decode()
    assert "<h5>_x$_$y</h5>" in (folder / "a b" / "report.html").read_text("utf-8")


@pytest.mark.whole
def test_a_name_that_is_not_utf_8_or_speaks_to_the_terminal(tmp_path):
    for name in (b"x\xe9", "a\u202e\x1b[31m\nb".encode()):
        folder = tmp_path / os.fsdecode(name)
        clean(run("train", *TINY, "--out", folder))
        done = clean(run("sample", folder, "--out", tmp_path / f"{os.fsdecode(name)}.png"))
        assert done.stderr.count(b"\n") == 1
        assert b"\x1b" not in done.stderr
        clean(run("compare", folder, "--out", tmp_path / f"{os.fsdecode(name)}.c", "--count", 10))
        clean(run("explore", folder, "--out", tmp_path / f"{os.fsdecode(name)}.html"))
        clean(run("sample", folder / "nothing", "--out", "x.png"), code=2)
