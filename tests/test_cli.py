"""The command line as a whole: exit codes, stdout, and `elt-ref count`, which needs no run."""

import json
import signal
import subprocess
import sys
import time

import pytest

from elt_ref import cli
from elt_ref.config import load_preset
from elt_ref.errors import RequestError, TrainingError
from elt_ref.measure import count
from tiny_datasets import DatasetError

COMMANDS = ["demo", "train", "sample", "evaluate", "compare", "count", "show", "data", "conform", "bench", "study"]


@pytest.mark.parametrize("words", [["--help"], *([name, "--help"] for name in COMMANDS), ["data", "import", "--help"]])
def test_help(command, words):
    code, out, err = command(*words)
    assert code == 0
    assert "Usage: " in out
    assert not err


def test_help_names_every_command(command):
    _, out, _ = command("--help")
    missing = [name for name in COMMANDS if f" {name} " not in out]
    assert not missing, f"not in the help: {missing}"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["demos"], "No such command 'demos'"),
        (["train"], "Missing argument 'PRESET|FILE.toml'"),
        (["sample", "run"], "Missing option '--out'"),
        (["count", "maskgit-l", "--loop", "3"], "No such option"),
        (["count", "maskgit-l", "--loops", "three"], "Invalid value for '--loops'"),
        (["sample", "run", "--out", "x.png", "--seed", "1.5"], ", got '1.5'"),
        (["evaluate", "run", "--count=1e3"], ", got '1e3'"),
        (["conform", "run", "x", "--questions", "-1"], ", got '-1'"),
        (["train", "digits-masked", "--out", ""], "after --out: expected a value, got an empty one"),
        (["train", "digits-masked", "--out="], "--out: expected a value, got an empty one"),
        (["train", ""], "after train: expected a value, got an empty one"),
        (["data", "import", "idx", "", "x"], "after idx: expected a value, got an empty one"),
        (["count", "maskgit-l", "--loops", "0"], "loops: expected an integer of at least 1, got 0"),
        (["count", "maskgit"], "preset: expected one of "),
        (["count", "nowhere.toml"], "configuration nowhere.toml: expected a readable TOML file, got "),
    ],
)
def test_a_wrong_request_is_one_sentence_and_exit_code_two(refused, words, expected):
    assert expected in refused(*words)


@pytest.mark.parametrize("words", [[], ["data"]])
def test_no_command_shows_the_help(command, words):
    code, out, err = command(*words)
    assert code == 2
    assert out == ""
    assert err.startswith("Usage: ")


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (RequestError("what: expected this, got that"), 2, "elt-ref: what: expected this, got that\n"),
        (DatasetError("it must be this, got that"), 2, "elt-ref: it must be this, got that\n"),
        (TrainingError("step 3: expected a finite loss, got nan"), 1, "elt-ref: step 3: expected a finite loss, got"),
        (KeyboardInterrupt(), 130, ""),
        (cli.typer.Abort(), 130, "elt-ref: interrupted\n"),
    ],
)
def test_exit_codes(command, monkeypatch, error, code, expected):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr("elt_ref.run.show.show", fails)
    found, out, err = command("show", "E5")
    assert found == code
    assert not out
    assert expected in err
    assert "Traceback" not in err


def test_a_bug_is_not_hidden(command, monkeypatch):
    def fails(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("elt_ref.run.show.show", fails)
    with pytest.raises(ZeroDivisionError):
        command("show", "E5")


def test_the_script_is_installed_and_prints_json_alone():
    script = [sys.executable, "-c", "from elt_ref.cli import main; main()"]
    done = subprocess.run([*script, "count", "maskgit-l", "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["layers"] == 24
    assert not done.stderr
    wrong = subprocess.run([*script, "count", "maskgit"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.count("\n") == 1, wrong.stderr


def test_ctrl_c_exits_with_130_and_no_traceback():
    code = (
        "import time\n"
        "from elt_ref import cli\n"
        "import elt_ref.run.show\n"
        "def wait(*_, **__): print('waiting', flush=True); time.sleep(60)\n"
        "elt_ref.run.show.show = wait\n"
        "cli.main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "show", "E5"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "waiting\n"
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert "Traceback" not in err


def test_ctrl_c_that_an_import_turns_into_another_error(command, monkeypatch):
    """As Python 3.11 does where it comes inside a class that calls ``__set_name__``."""

    def fails(*_, **__):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as error:
            raise RuntimeError("Error calling __set_name__") from error

    monkeypatch.setattr("elt_ref.run.show.show", fails)
    assert command("show", "E5") == (130, "", "elt-ref: interrupted\n")


WHILE_LOADING = """
import os, signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == "rich":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
from elt_ref.__main__ import main
main()
"""


def test_ctrl_c_while_the_commands_are_being_loaded():
    words = [sys.executable, "-c", WHILE_LOADING, "show", "E5"]
    done = subprocess.run(words, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_every_command_is_there_whichever_module_is_the_program():
    for module in ("elt_ref", "elt_ref.cli"):
        done = subprocess.run(
            [sys.executable, "-m", module, "learn", "start", "--help"], capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr


# --- count


def test_count_json(command):
    code, out, err = command("count", "elt-xl-7x4", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    keys = {"looped_parameters", "total_parameters", "macs_per_forward", "flops_per_forward", "layer_calls"}
    assert keys <= set(document)
    assert document["name"] == "elt-xl-7x4"
    assert document["layer_calls"] == 28
    counted = count(load_preset("elt-xl-7x4"))
    for key in keys:
        assert document[key] == getattr(counted, key)
    assert document["paper"]["parameters"] == "111M"


def test_count_at_other_loops(command):
    _, out, _ = command("count", "elt-xl-7x4", "--loops", 9, "--json")
    assert json.loads(out)["layer_calls"] == 63


def test_count_of_a_file(command, tmp_path):
    path = tmp_path / "mine.toml"
    lines = ["layers = 1", "max_loops = 2", "width = 4", "heads = 1", "mlp_width = 4", "grid = [2]"]
    path.write_text("\n".join(['name = "mine"', "[model]", *lines, "codebook_size = 3", "classes = 1"]))
    _, out, _ = command("count", path, "--json")
    document = json.loads(out)
    assert (document["layer_calls"], document["paper"]) == (2, None)


def test_count_beside_the_papers_table(command):
    code, out, _ = command("count", "elt-l-8x3")
    assert code == 0
    for cell in ("100,769,792", "beside the paper's table", "101M", "100.77M looped", "104.16M total", "3.7k", "3,881"):
        assert cell in out, f"'{cell}' is not in the table: {out}"
    _, elsewhere, _ = command("count", "elt-l-8x3", "--loops", 2)
    assert "beside the paper's table" not in elsewhere, "the paper's figures do not apply at other loops"
    _, digits, _ = command("count", "digits-masked")
    assert "beside the paper's table" not in digits
