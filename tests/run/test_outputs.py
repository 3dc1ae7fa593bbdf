"""What a command will write is looked at and made before its work begins."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

from elt_ref.errors import RequestError
from elt_ref.files import check_file, made_folder, make_folder
from elt_ref.training import METRICS


@pytest.fixture
def no_work(monkeypatch):
    """Fail where a command samples, judges, trains, measures or draws."""

    def worked(*_arguments, **_options):
        pytest.fail("the work began before the output was looked at")

    for place in (
        "elt_ref.run.sample.sample",
        "elt_ref.run.evaluate.sample",
        "elt_ref.run.compare.Evaluator",
        "elt_ref.run.train.prepare",
        "elt_ref.run.demo._train_both",
        "elt_ref.run.describe.tiny_datasets.scaled",
        "elt_ref.conformance.commands._judged",
        "elt_ref.conformance.commands.read_vectors",
        "elt_ref.bench.command.bench",
        "elt_ref.study.conduct.perform_all",
    ):
        monkeypatch.setattr(place, worked)


BACKEND = "elt_ref.conformance.reference:ReferenceBackend"
FILES = {
    "sample": lambda run, path: ("sample", run, "--out", path.with_suffix(".png")),
    "data show": lambda _, path: ("data", "show", "digits", "--out", path.with_suffix(".png")),
    "report": lambda _, path: ("conform", "run", BACKEND, "--report", path.with_suffix(".html")),
    "known failures": lambda _, path: ("conform", "run", BACKEND, "--write-known", path.with_suffix(".toml")),
}
FOLDERS = {
    "train": lambda _, path: ("train", "digits-masked", "--out", path),
    "demo": lambda _, path: ("demo", "--out", path),
    "compare": lambda run, path: ("compare", run, "--out", path),
    "export": lambda _, path: ("conform", "export", path),
    "bench": lambda _, path: ("bench", "--out", path, "--part", "profile"),
    "study": lambda _, path: ("study", "parity", "--quick", "--out", path),
}


@pytest.mark.few(5)
@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", ["missing/out", "file/out", "folder"])
def test_a_file_that_cannot_be_written(command, trained, tmp_path, name, place):
    (tmp_path / "file").write_bytes(b"")
    for suffix in (".png", ".html", ".toml"):
        (tmp_path / "folder").with_suffix(suffix).mkdir()
    result = command(*FILES[name](trained, tmp_path / place))
    assert (result.code, result.err.count("\n")) == (2, 1), result.err
    assert "expected a file in a folder that can be written to, got " in result.err
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("place", ["file", "file/out"])
def test_a_folder_that_cannot_be_made(refused, trained, tmp_path, name, place):
    (tmp_path / "file").write_bytes(b"")
    sentence = refused(*FOLDERS[name](trained, tmp_path / place))
    assert "expected a folder that can be written to, got " in sentence or "got Not a directory" in sentence, sentence


@pytest.fixture
def read_only(monkeypatch):
    """A disk that is read-only, also for root."""
    original = os.open

    def refuse(path, flags, *mode, **options):
        if flags & os.O_CREAT and Path(path).name.startswith("."):
            raise OSError(30, "Read-only file system")
        return original(path, flags, *mode, **options)

    monkeypatch.setattr(os, "open", refuse)


@pytest.mark.usefixtures("no_work", "read_only")
@pytest.mark.parametrize("name", [*FILES, *FOLDERS])
def test_a_disk_that_is_read_only(refused, trained, tmp_path, name):
    sentence = refused(*(FILES | FOLDERS)[name](trained, tmp_path / "out"))
    assert sentence.endswith("got Read-only file system"), sentence
    assert not list(tmp_path.iterdir()), "something was left behind"


@pytest.mark.usefixtures("no_work")
def test_compare_reads_every_log_first(refused, copied, tmp_path):
    (copied / METRICS).unlink()
    assert "metrics.jsonl: expected a readable log, got No such file" in refused(
        "compare", copied, "--out", tmp_path / "out"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("name", ["max_loops", "real_distance"])
def test_a_run_folder_that_is_called_like_a_key_of_the_results(refused, copied, tmp_path, name):
    copied.rename(tmp_path / name)
    assert "of different names" in refused("compare", tmp_path / name, "--out", tmp_path / "out")


def test_only_new_folders_are_removed_when_the_work_fails(tmp_path):
    (tmp_path / "old").mkdir()
    for place in (tmp_path / "old", tmp_path / "old" / "new" / "deep"):
        with pytest.raises(RequestError), made_folder(place):
            raise RequestError("something")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert not list((tmp_path / "old").iterdir())
    with suppress(RequestError), made_folder(tmp_path / "full"):
        (tmp_path / "full" / "work").write_bytes(b"")
        raise RequestError("something")
    assert (tmp_path / "full" / "work").exists()


def test_looking_leaves_nothing_behind(tmp_path):
    (tmp_path / "old").write_bytes(b"old")
    check_file(tmp_path / "old")
    check_file(tmp_path / "new")
    assert make_folder(tmp_path / "a" / "b") == [tmp_path / "a" / "b", tmp_path / "a"]
    assert make_folder(tmp_path / "a" / "b") == []
    assert {path.name for path in tmp_path.iterdir()} == {"old", "a"}
    assert (tmp_path / "old").read_bytes() == b"old"
