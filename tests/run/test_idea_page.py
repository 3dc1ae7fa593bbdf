"""docs/ideas.md does what it says: its files and its commands run, in small."""

import re
import shlex
from pathlib import Path

import pytest

from elt_ref.arrays import tree_items
from elt_ref.idea import FUNCTIONS
from elt_ref.run.folder import open_run
from elt_ref.run.idea import shipped_ideas

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "ideas.md").read_text(encoding="utf-8")
FILES = re.findall(r"^```py\n# (\S+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^    elt-ref (.*)$", PAGE, flags=re.MULTILINE)
SMALL = {"model.width": 8, "model.mlp_width": 8, "model.codebook_size": 8, "training.batch_size": 2}
SMALLER = {
    "train": ["--steps", 2, *(word for key, value in SMALL.items() for word in ("--set", f"{key}={value}"))],
    "compare": ["--count", 10],
    "evaluate": ["--count", 10],
    "sample": ["--count", 2],
    "conform": ["--only", "LOOP-01", "--questions", 0],
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the page's files."""
    monkeypatch.chdir(tmp_path)
    for name, text in FILES:
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.whole
def test_the_commands_of_the_page_run_in_order(command, here):
    said = {}
    for line in COMMANDS:
        name, *words = shlex.split(line)
        result = command(name, *words, *SMALLER[name])
        said[name] = result.out + result.err
        expected = 1 if name == "conform" else 0  # a damped loop leaves LOOP-01
        assert result.code == expected, f"{line}: exit code {result.code}: {result.err}"
    assert len(COMMANDS) == 9
    assert "damped + damped" in (here / "compared" / "report.html").read_text(encoding="utf-8")
    assert "LOOP-01" in said["conform"]


@pytest.mark.usefixtures("here")
def test_every_file_of_the_page_trains(done):
    assert [name for name, _ in FILES] == ["damped.py", "plain.py", "gated.py"]
    done("train", "digits-masked", "--idea", "gated.py", "--out", "gated", *SMALLER["train"])


@pytest.mark.usefixtures("here")
def test_the_papers_own_loss_as_an_idea_is_the_plain_model_to_the_bit(done):
    done("train", "digits-masked", "--out", "without", *SMALLER["train"], "--steps", 5)
    done("train", "digits-masked", "--idea", "plain.py", "--out", "with", *SMALLER["train"], "--steps", 5)
    without, with_it = (tree_items(open_run(Path(name)).parameters) for name in ("without", "with"))
    for (name, leaf), (_, same) in zip(without, with_it, strict=True):
        assert leaf.tobytes() == same.tobytes(), name


def test_the_tables_name_what_there_is():
    rows = re.findall(r"^\| `([^`]+)` \|", PAGE, flags=re.MULTILINE)
    signatures = [row for row in rows if "(" in row]
    assert sorted(signatures) == sorted(FUNCTIONS.values())
    assert sorted(row for row in rows if "(" not in row) == sorted(shipped_ideas())
