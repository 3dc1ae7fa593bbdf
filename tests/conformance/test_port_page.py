"""The commands of docs/port.md work as the page says."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from elt_ref.cli import main
from elt_ref.conformance.case import read_vectors
from elt_ref.conformance.choices import CHOICES

PAGE = (Path(__file__).parents[2] / "docs" / "port.md").read_text(encoding="utf-8")


def block(first_line):
    return next(text for text in re.findall(r"^```py\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL) if first_line in text)


def commands(beginning):
    found = re.findall(rf"^    ({re.escape(beginning)}.*?)(?:  +#.*)?$", PAGE, re.MULTILINE)
    assert found, f"the page has no command that begins with {beginning}"
    return found


def judged(monkeypatch, capsys, words):
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, capsys.readouterr().out


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """The page's files in a separate current folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("my_elt.py", "answer.py"):
        Path(name).write_text(block(f"# {name}"), encoding="utf-8")
    python_block = re.search(r"^```python\n(import numpy.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    Path("mine.py").write_text(python_block[1], encoding="utf-8")
    return tmp_path


def test_the_class_of_the_page_is_judged_by_the_commands_of_the_page(programs, monkeypatch, capsys):
    for words in commands("elt-ref conform smoke mine.py") + commands("elt-ref conform run mine.py:Backend --only"):
        few = ["--questions", "2"] if "run" in words else []
        code, printed = judged(monkeypatch, capsys, [*words.split(), *few])
        assert code == 0, printed
    assert (programs / "report.html").stat().st_size > 1000
    code, printed = judged(
        monkeypatch, capsys, ["elt-ref", "conform", "run", "mine.py:Backend", "--json", "--questions", "8"]
    )
    statuses = {row["id"]: row["status"] for row in json.loads(printed)["clauses"]}
    assert code == 0
    assert {id_ for id_, status in statuses.items() if status == "PASS"} == {"GUIDE-01", "DISTIL-06"}


def test_the_program_of_the_page_is_judged_by_the_commands_of_the_page(programs, monkeypatch, capsys):
    assert programs
    for words in commands('elt-ref conform smoke --exec "python my_elt.py"') + commands(
        'elt-ref conform run --exec "python my_elt.py"'
    ):
        typed = re.findall(r'"[^"]*"|\S+', words)
        program = f"{sys.executable} my_elt.py"
        code, printed = judged(monkeypatch, capsys, [program if word.startswith('"') else word for word in typed])
        assert code == 0, printed


def test_the_conversation_of_the_page_is_what_is_said(programs):
    """Word for word: the program of the page gets the judge's lines and must answer with the page's."""
    lines = re.findall(r"^    ([<>]) (\{.*\})$", PAGE, re.MULTILINE)
    vector = next(vector for vector in read_vectors() if vector.id == "GUIDE-01/three")
    save_file(dict(vector.inputs), "1.in.safetensors")
    heard = "".join(f"{line}\n" for way, line in lines if way == ">")
    spoken = subprocess.run([sys.executable, "my_elt.py"], input=heard, capture_output=True, text=True, check=True)
    assert [json.loads(line) for line in spoken.stdout.splitlines()] == [
        json.loads(line) for way, line in lines if way == "<"
    ]
    assert abs(load_file(programs / "1.out.safetensors")["guided"] - vector.answers["guided"]).max() < 1e-5


def test_the_files_of_the_page_are_judged_by_the_commands_of_the_page(programs, monkeypatch, capsys):
    assert programs
    (export,) = commands("elt-ref conform export")
    monkeypatch.setattr(sys, "argv", export.split())
    with pytest.raises(SystemExit):
        main()
    subprocess.run([sys.executable, "answer.py"], check=True)
    (judge,) = commands("elt-ref conform judge")
    code, printed = judged(monkeypatch, capsys, judge.split())
    assert code == 0, printed


@pytest.mark.parametrize(("only", "code"), [("DISTIL-06", 0), ("GUIDE", 0), ("DECODE-01", 1), ("NONE-01", 2)])
def test_the_exit_codes_are_those_of_the_page(programs, monkeypatch, capsys, only, code):
    """Some clauses of GUIDE are UNSUPPORTED, which is no failure; DECODE-01 is not judged at all."""
    assert programs
    assert re.search(rf"^\| {code} \|", PAGE, re.MULTILINE)
    assert (
        judged(
            monkeypatch, capsys, ["elt-ref", "conform", "run", "mine.py:Backend", "--only", only, "--questions", "2"]
        )[0]
        == code
    )


@pytest.mark.whole
def test_a_reply_has_no_other_keys_and_inputs_without_arrays_are_a_file(programs, monkeypatch, capsys):
    program = Path("my_elt.py").read_text(encoding="utf-8").replace('["guide"]', '["truth_weights"]')
    head, _, tail = program.partition("        conditional, unconditional")
    own = (
        "        assert given == {}\n"
        '        steps = asked["settings"]["steps"]\n'
        '        save_file({"weights": 1 - np.arange(steps) / max(1, steps - 1)}, asked["outputs"])\n'
    )
    tail = tail[tail.index("        answer = ") :]
    words = ["elt-ref", "conform", "run", "--exec", f"{sys.executable} weights.py", "--only", "DISTIL-06"]
    words += ["--questions", "2"]
    for more, code in (("", 0), (', "more": 1', 1)):
        said = tail.replace('"status": "ok"', f'"status": "ok"{more}')
        (programs / "weights.py").write_text(f"import numpy as np\n{head}{own}{said}", encoding="utf-8")
        ended, printed = judged(monkeypatch, capsys, words)
        assert ended == code, printed


def test_the_table_of_choices_is_that_of_the_code():
    table = PAGE.split("<!-- choices -->")[1].split("<!-- end -->")[0]
    rows = [f"| `{name}` | {', '.join(choice.alternatives)} |" for name, choice in CHOICES.items()]
    assert table.strip().splitlines()[2:] == rows
