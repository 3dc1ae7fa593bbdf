"""The study of seconds among the others, and a data home for each test."""

import pytest
from tiny_study import TINY

from elt_ref.study.claims import STUDIES
from tiny_datasets.catalogue import HOME_VARIABLE


@pytest.fixture
def tiny(monkeypatch):
    """The tiny study, among the others."""
    monkeypatch.setitem(STUDIES, "tiny", TINY)
    return TINY


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A data home that does not exist yet, in place of the user's own."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
