"""Whatever a person types: an answer or one sentence, and a documented exit code; drawn from the declaration."""

import re
import shutil
import sys

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elt_ref import cli
from elt_ref.literal import LONGEST

GROUP = typer.main.get_command(cli.app)


def leaves(command, words=()):
    """Yield the words and the declaration of every command."""
    if hasattr(command, "commands"):
        for name, each in command.commands.items():
            yield from leaves(each, (*words, name))
    else:
        yield words, command


COMMANDS = dict(leaves(GROUP))
NUMBERS = st.one_of(
    st.integers().map(str),
    st.sampled_from(
        ["0", "-1", "1", "2", "10", str(2**31), str(2**63), str(2**64), "9" * 400, "9" * 5000, "1_0", " 1", "٣", "²"]
    ),
    st.floats().map(str),
    st.sampled_from(["1e39", "1e400", "-0.0", "inf", "nan", "0x10", "1e-320"]),
)
# What a shell can hand over: no NUL, and bytes that are not UTF-8 as lone surrogates.
WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=()), max_size=12).filter(
    lambda text: not any("\ud800" <= each <= "\udfff" and not "\udc80" <= each <= "\udcff" for each in text)
)
NAMES = st.sampled_from(
    [
        *("digits-masked", "digits", "E5", "A1", "LOOP-01", "loop", "decode_step", "guidance_swapped", "masked"),
        *("elt_ref.conformance.reference:ReferenceBackend", "nothing:Nothing", "a:", ":a", ":", "os:path", "x.py:B"),
        *("", " ", ".", "~", "-", "--", "[b]", "a=b", "=", "model.width=", "model.width=[[", "a.b.c=1"),
        *(
            "training.steps=nan",
            "model={}",
            "model.width=" + "9" * 400,
            "training.steps=" + "9" * 5000,
            "name='../x'",
            "seed=-1",
            "exit:nan",
            "early:",
            "exit:-1",
            "1,2,",
            "0-",
            "9-1",
        ),
        *(
            "a.png",
            "a.toml",
            "a.json",
            "a.safetensors",
            "a/b/c.png",
            "x" * 300 + ".png",
            "/proc/self/mem",
            "/dev/null/x",
        ),
        *("λ", "x\udce9", "a\nb", "\x1b[31m", "random", "1.5", "pictures", "idx", "npz", "cifar", "clips", "latents"),
    ]
)
VALUES = st.one_of(NAMES, NUMBERS, WORDS)


@st.composite
def lines(draw):
    """Draw a command line: a command, some of its options and arguments, and now and then a word too many."""
    words, command = draw(st.sampled_from(sorted(COMMANDS.items(), key=lambda item: item[0])))
    line = list(words)
    for each in command.params:
        flags = [flag for flag in (*each.opts, *each.secondary_opts) if flag.startswith("-")]
        if not flags:
            number = draw(st.sampled_from([1, 1, 1, 0, 2]))
            line += draw(st.lists(st.sampled_from(["run", "digits-masked"]) | VALUES, min_size=number, max_size=number))
        elif draw(st.integers(0, 3)) == 0 or (each.required and draw(st.integers(0, 4))):
            line.append(draw(st.sampled_from(flags)))
            if not getattr(each, "is_flag", False) or draw(st.integers(0, 9)) == 0:
                line.append(draw(VALUES))
    if draw(st.integers(0, 9)) == 0:
        line.insert(draw(st.integers(0, len(line))), draw(VALUES | st.just("--help")))
    return line


class StopError(Exception):
    """The work would begin here: the request was accepted."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the folder of a small run."""
    from elt_ref.config import load_preset
    from elt_ref.run.train import train_run
    from elt_ref.terminal import Terminal

    sizes = {"model.width": 4, "model.heads": 1, "model.mlp_width": 4, "model.layers": 1, "training.steps": 1}
    folder = tmp_path_factory.mktemp("trained") / "run"
    train_run(load_preset("digits-masked", sizes), folder, console=Terminal(quiet=True))
    return folder


@pytest.fixture
def no_work(monkeypatch, tmp_path, trained):
    """Let every command check its request, and stop it where it would work long or leave the folder of the test."""

    def stop(*_, **__):
        raise StopError

    for place in (
        "elt_ref.run.train.train",
        "elt_ref.run.train.prepare",
        "elt_ref.run.demo._train_and_compare",
        "elt_ref.bench.command.bench",
        "elt_ref.conformance.commands._judged",
        "elt_ref.conformance.commands.smoke",
        "elt_ref.conformance.commands.laws",
        "elt_ref.conformance.commands.export",
        "elt_ref.conformance.commands.exported",
        "elt_ref.conformance.program.Program.__init__",
        "elt_ref.run.sample.sample",
        "elt_ref.run.evaluate.Evaluator.__init__",
        "elt_ref.run.compare.compare",
    ):
        monkeypatch.setattr(place, stop)
    shutil.copytree(trained, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ELT_REF_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(lines())
@pytest.mark.usefixtures("no_work")
def test_no_traceback_for_anything_typed(capsys, line):
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["elt-ref", *line])
        try:
            cli.main()
            code = None
        except SystemExit as ended:
            code = ended.code
        except StopError:
            code = "works"
    out, err = capsys.readouterr()
    assert code in {0, 1, 2, "works"}, (code, line, err)
    assert "Traceback" not in err
    assert "\x1b" not in out + err
    if code == 2 and not err.startswith("Usage: "):
        assert not out
        assert re.fullmatch(r"elt-ref: [^\n]+\n", err), (line, err)
        assert len(err) <= LONGEST + len("elt-ref: \n")
