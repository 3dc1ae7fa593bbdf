"""Whatever happens to a disk: one sentence, old files whole, and the run can go on to the same bits."""

import errno
import os
import shutil
from itertools import cycle

import pytest

import tiny_datasets
from elt_ref.config import parse_config
from elt_ref.errors import RequestError
from elt_ref.run.train import train_run
from elt_ref.terminal import Terminal
from tests.faulty_os import faulty
from tests.run.kill_runs import few

TINY = """
name = "tiny"
data = { name = "digits" }
model.family = "diffusion"
model.layers = 1
model.max_loops = 2
model.width = 4
model.heads = 2
model.mlp_width = 4
model.shape = [8, 8, 1]
model.patch_size = 8
model.time_features = 4
model.classes = 10
diffusion = { shift = "none", bias = "sid2_default_b0" }
training = { steps = 2, batch_size = 2, warmup_steps = 1, checkpoint_every = 1, log_every = 1 }
"""


def live(folder):
    train_run(parse_config(TINY, where="tiny"), folder, resume=True, console=Terminal(quiet=True))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module", autouse=True)
def _few_examples():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_datasets, "load", few)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    with faulty(0, None) as counted:
        live(folder)
    return contents(folder), counted.calls


def check_sentence(error, folder, why=""):
    assert "\n" not in str(error)
    assert str(folder) in str(error)
    assert why in str(error)


ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


def fails(number):
    def fault(name, arguments):
        if name == "close":
            os.close(*arguments)  # it frees the descriptor, and may still tell of an earlier write
        raise OSError(number, os.strerror(number))

    return fault


def test_an_error_of_any_system_call(tmp_path, whole):
    """The nth call of a life fails, for every n: the error is one sentence, and nothing of the run is damaged."""
    files, calls = whole
    folder = tmp_path / "run"
    for at, number in zip(range(1, len(calls) + 1), cycle(ERRORS), strict=False):
        try:
            with faulty(at, fails(number)):
                live(folder)
        except RequestError as error:
            check_sentence(error, folder, os.strerror(number))
        else:
            # The lock names its process where it can, and what was written already is not to be removed.
            harmless = {"unlink"} | ({"truncate", "write", "close"} if at < 12 or at == len(calls) else set())
            assert calls[at - 1] in harmless, f"call {at}, {calls[at - 1]}, failed and nobody said so"
        if folder.exists() and calls[at - 1] != "unlink":
            assert set(contents(folder)) <= set(files), "something was left behind"
        live(folder)
        assert contents(folder) == files, f"after an error in call {at}, {calls[at - 1]}"
        shutil.rmtree(folder)


def test_a_folder_that_vanishes_at_any_moment(tmp_path, whole):
    files, calls = whole
    folder = tmp_path / "run"
    for at in range(1, len(calls) + 1, 6):
        with faulty(at, lambda *_: shutil.rmtree(folder)):
            try:
                live(folder)
            except RequestError as error:
                check_sentence(error, folder)
        live(folder)
        assert contents(folder) == files, f"after it vanished at call {at}, {calls[at - 1]}"
        shutil.rmtree(folder)


def test_short_writes_are_gone_on_with(tmp_path, monkeypatch):
    """A call may write a part only, as at a quota or on a pipe."""
    from elt_ref.files import write_bytes

    original = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: original(descriptor, content[:3]))
    write_bytes(tmp_path / "file", bytes(range(200)))
    assert (tmp_path / "file").read_bytes() == bytes(range(200))


def test_a_device_and_a_pipe_are_not_replaced(tmp_path):
    from elt_ref.files import check_file, write_bytes

    os.mkfifo(tmp_path / "pipe")
    for write in (check_file, lambda path: write_bytes(path, b"content")):
        with pytest.raises(RequestError, match="got a device or a pipe"):
            write(tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()


def test_what_a_link_names_is_written(tmp_path):
    from elt_ref.files import write_bytes

    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "file")
    for content in (b"one", b"two"):
        write_bytes(tmp_path / "link", content)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "there" / "file").read_bytes() == content
