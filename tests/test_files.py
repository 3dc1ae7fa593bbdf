"""Files are written whole or not at all."""

import os

import pytest

from elt_ref.errors import RequestError
from elt_ref.files import write_bytes


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_writes_and_replaces_whole_files(tmp_path):
    path = tmp_path / "figure.png"
    write_bytes(path, b"old")
    write_bytes(path, b"new and longer")
    assert path.read_bytes() == b"new and longer"
    assert names(tmp_path) == ["figure.png"]


def test_a_reader_keeps_the_file_it_opened(tmp_path):
    path = tmp_path / "figure.png"
    write_bytes(path, b"old")
    with path.open("rb") as reader:
        write_bytes(path, b"new")
        assert reader.read() == b"old"


def test_a_failure_keeps_the_old_file_and_leaves_no_temporary_one(tmp_path, monkeypatch):
    path = tmp_path / "figure.png"
    path.write_bytes(b"old")

    def full_disk(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(RequestError, match="No space left on device"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["figure.png"]


@pytest.mark.parametrize("place", ["missing/figure.png", "file/figure.png", "folder"])
def test_a_place_that_takes_no_file_is_a_wrong_request(tmp_path, place):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(RequestError, match=r"expected a file in a folder that can be written to, got "):
        write_bytes(tmp_path / place, b"content")
    assert names(tmp_path) == ["file", "folder"]


def test_permissions_are_those_of_any_new_file(tmp_path):
    write_bytes(tmp_path / "ours", b"")
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode
