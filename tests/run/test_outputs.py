"""What a command will write is looked at and made before its work begins."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

from elt_ref.errors import RequestError
from elt_ref.files import check_file, made_folder, make_folder, write_bytes
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


OBSTACLES = {
    "samples.png": FOLDERS["compare"],
    "elasticity.png": FOLDERS["compare"],
    "trajectory.png": FOLDERS["compare"],
    "loss.png": FOLDERS["compare"],
    "report.html": FOLDERS["compare"],
    "./report.html": FOLDERS["demo"],
    "diffusion/loss.png": FOLDERS["demo"],
    "pictures/bench-profile.png": FOLDERS["bench"],
    "parity.png": FOLDERS["study"],
    "parity.md": FOLDERS["study"],
    "README.md": FOLDERS["study"],
}


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("file", OBSTACLES)
def test_a_folder_that_stands_where_a_file_goes(refused, trained, tmp_path, file):
    (tmp_path / "out" / file).mkdir(parents=True)
    before = sorted((tmp_path / "out").rglob("*"))
    assert refused(*OBSTACLES[file](trained, tmp_path / "out")).endswith("got Is a directory")
    left = set((tmp_path / "out").rglob("*")) - {*before}
    assert not [path for path in left if path.is_file()], "a result is there before the work"


def test_a_comparison_that_fails_has_no_results(refused, trained, tmp_path, monkeypatch):
    def full(*_, **__):
        raise RequestError("report.html: expected a file in a folder that can be written to, got No space left")

    monkeypatch.setattr("elt_ref.run.compare.write_report", full)
    refused("compare", trained, "--out", tmp_path / "out", "--count", 10)
    assert not (tmp_path / "out" / "results.json").exists(), "the next comparison would be refused"


@pytest.fixture
def inputs(copied, tmp_path, monkeypatch):
    """Files that some commands read, in the working folder, and links to them."""
    monkeypatch.chdir(tmp_path)
    for name in ("known.toml", "case.json", "bad.py", "answers/description.json", "answers/fresh.json", "class/a/b.py"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    Path("link.toml").symlink_to("known.toml")
    Path("link.html").symlink_to(copied / "config.toml")


RUN = ("conform", "run", BACKEND)


@pytest.mark.usefixtures("no_work", "inputs")
@pytest.mark.parametrize(
    "words",
    [
        (*RUN, "--known", "known.toml", "--write-known", "known.toml"),
        (*RUN, "--known", "known.toml", "--write-known", "link.toml"),
        (*RUN, "--known", "link.toml", "--write-known", "known.toml"),
        (*RUN, "--case", "case.json", "--report", "case.json"),
        ("conform", "run", "bad.py:Backend", "--write-known", "bad.py"),
        ("conform", "judge", "answers", "--report", "answers/description.json"),
        ("conform", "judge", "answers", "--report", "answers/fresh.json"),
        ("learn", "grade", "class", "--out", "class/a/b.py"),
        ("explore", "copied", "--out", "link.html"),
    ],
    ids=" ".join,
)
def test_an_output_that_is_an_input(refused, tmp_path, monkeypatch, words):
    monkeypatch.setattr("elt_ref.conformance.commands.open_door", lambda *_: None)
    monkeypatch.setattr("elt_ref.conformance.commands.exported_inquiry", lambda _: None)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    sentence = refused(*words)
    assert sentence.startswith(f"{words[-1]}: expected another file than the input "), sentence
    assert sentence.endswith(", got the same")
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


@pytest.mark.parametrize("new", [True, False])
def test_an_export_that_fails_leaves_nothing(refused, tmp_path, monkeypatch, new):
    """Else the next one is refused, for the folder has files."""
    from elt_ref.conformance import doors

    count = iter(range(5))

    def fills(path, content):
        if next(count, None) is None:
            raise RequestError(
                f"{path}: expected a file in a folder that can be written to, got No space left on device"
            )
        write_bytes(path, content)

    monkeypatch.setattr(doors, "write_bytes", fills)
    folder = tmp_path / "out"
    if not new:
        folder.mkdir()
    assert "No space left on device" in refused("conform", "export", folder)
    assert list(tmp_path.rglob("*")) == ([] if new else [folder])
    assert next(count, None) is None, "nothing was written before the disk was full"


def test_an_export_leaves_the_files_of_others(refused, tmp_path):
    (tmp_path / "mine").write_bytes(b"mine")
    assert "expected a new or empty folder, got one with files" in refused("conform", "export", tmp_path)
    assert (tmp_path / "mine").read_bytes() == b"mine"


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("name", ["sample", "data show", "explore", "compare"])
def test_a_working_folder_that_is_gone(refused, trained, tmp_path, monkeypatch, name):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    words = {
        "sample": ("sample", trained, "--out", "x.png"),
        "data show": ("data", "show", "digits", "--out", "x.png"),
        "explore": ("explore", "x.png", "--out", tmp_path / "x.html"),
        "compare": ("compare", "x.png", "--out", tmp_path / "x"),
    }
    expected = "x.png: expected a working folder to start from, got No such file or directory"
    assert refused(*words[name]) == expected


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
