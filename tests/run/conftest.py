"""A data home for each test, and small runs for the commands."""

import shutil

import pytest
from tiny_runs import TINY, TINY_DIFFUSION, TINY_DRIFTING, TINY_VIDEO, train_tiny

from tiny_datasets.catalogue import HOME_VARIABLE


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A data home that does not exist yet, in place of the user's own."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def tiny(tmp_path):
    """The file of a configuration that trains in no time."""
    path = tmp_path / "tiny.toml"
    path.write_text(TINY, encoding="utf-8")
    return path


@pytest.fixture
def copied(trained, tmp_path):
    """A copy of the trained run, to spoil."""
    folder = tmp_path / "copied"
    shutil.copytree(trained, folder)
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A run folder of the masked family, to look at and not to touch."""
    return train_tiny(tmp_path_factory.mktemp("runs") / "tiny", TINY)


@pytest.fixture(scope="session")
def trained_diffusion(tmp_path_factory):
    """A run folder of the diffusion family, to look at and not to touch."""
    return train_tiny(tmp_path_factory.mktemp("runs") / "tiny-diffusion", TINY_DIFFUSION)


@pytest.fixture(scope="session")
def trained_drifting(tmp_path_factory):
    """A run folder of the drifting family, to look at and not to touch."""
    return train_tiny(tmp_path_factory.mktemp("runs") / "tiny-drifting", TINY_DRIFTING)


@pytest.fixture(scope="session")
def trained_video(tmp_path_factory):
    """A run folder of the masked family on clips, to look at and not to touch."""
    return train_tiny(tmp_path_factory.mktemp("runs") / "tiny-video", TINY_VIDEO)
