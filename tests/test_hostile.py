"""Damaged files, in seconds; ``python -m tests.hostile`` is the long run."""

import signal
from pathlib import Path

import hostile
import pytest


@pytest.fixture
def quiet_alarm():
    """The suite has an alarm of its own."""
    yield
    signal.alarm(0)


@pytest.mark.usefixtures("as_user", "quiet_alarm")
def test_no_reader_is_hurt_by_a_damaged_file(tmp_path, monkeypatch):
    monkeypatch.setenv("ELT_REF_DATA", str(tmp_path / "data"))
    before = set(Path(hostile.tempfile.gettempdir()).glob("elt-hostile-*"))
    answers = list(hostile.attack(400, seed=0, keep=tmp_path / "kept"))
    assert [each for each in answers if each[1] is not None] == []
    assert len({name for name, _ in answers}) > 35
    assert set(Path(hostile.tempfile.gettempdir()).glob("elt-hostile-*")) == before


def test_a_reader_that_raises_something_else_is_noticed(tmp_path):
    def read(_path, home):
        (home / "half").mkdir()
        raise error

    reader = hostile.Reader("x", lambda folder: folder, read)
    for error, expected in (
        (KeyError("a"), "KeyError"),
        (hostile.DatasetError("a" * 3), "left behind: ['half']"),
    ):
        home = tmp_path / type(error).__name__
        home.mkdir()
        assert expected in hostile.fault(reader, tmp_path, home)


def test_mutations_change_files_and_repeat_with_their_seed():
    content = bytes(range(256)) * 4
    first, second = ([hostile.mutated(content, hostile.random.Random(n)) for n in range(50)] for _ in range(2))
    assert first == second
    assert sum(each != content for each in first) > 45
