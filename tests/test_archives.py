"""The wheel, the sdist and a checkout: each is installed and used; both archives are the same bytes each time."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import elt_ref

pytestmark = pytest.mark.slow

PROJECT = Path(elt_ref.__file__).parent.parent
LEFT = shutil.ignore_patterns(
    ".git", ".venv", "__pycache__", ".pytest_cache", ".ruff_cache", ".nox", "dist", "*.egg-info"
)


def call(*words, **more):
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False, timeout=280, **more)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def build(folder, out):
    """Build the sdist, and the wheel from it, out of a copy whose files have other dates."""
    shutil.copytree(PROJECT, folder, ignore=LEFT)
    for path in folder.rglob("*"):
        os.utime(path, (len(path.name) * 1e7, len(str(out)) * 1e7))
    call(sys.executable, "-m", "build", "--outdir", out, folder, env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"})
    return sorted(out.iterdir())


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    room = tmp_path_factory.mktemp("archives")
    return build(room / "one", room / "out"), build(room / "another place", room / "again")


def test_both_archives_are_the_same_bytes_each_time(built):
    once, again = built
    assert [path.suffix for path in once] == [".whl", ".gz"]
    for first, second in zip(once, again, strict=True):
        assert first.name == second.name
        assert first.read_bytes() == second.read_bytes(), f"{first.name} has other bytes the second time"


@pytest.mark.parametrize("kind", ["wheel", "sdist", "checkout"])
def test_each_installs_and_works(built, kind, tmp_path):
    room = tmp_path / "it's a folder"
    room.mkdir()
    call(sys.executable, "-m", "venv", room / "venv")
    python = room / "venv" / "bin" / "python"
    what = {"wheel": [built[0][0]], "sdist": [built[0][1]], "checkout": ["--editable", tmp_path / "checkout"]}[kind]
    if kind == "checkout":
        shutil.copytree(PROJECT, tmp_path / "checkout", ignore=LEFT)
    call(python, "-m", "pip", "install", "--quiet", *what)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    program = [python, "-I", "-m", "elt_ref"]
    assert call(*program, "--version", cwd=room, env=env) == f"elt-ref {elt_ref.__version__}\n"
    assert call(room / "venv" / "bin" / "elt-ref", "show", "E5", cwd=room, env=env)
    assert "digits" in call(*program, "data", "list", cwd=room, env=env)
    call(
        *program,
        "conform",
        "run",
        "elt_ref.conformance.reference:ReferenceBackend",
        "--only",
        "LOOP",
        cwd=room,
        env=env,
    )
    call(*program, "train", "digits-masked", "--steps", 1, "--set", "model.width=8", "--out", "run", cwd=room, env=env)
    call(*program, "sample", "run", "--out", "one.png", cwd=room, env=env)
