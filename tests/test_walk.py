"""Few functions and few files lie between a reader and one training step, or one sample."""

import pytest
from walk import walks

LIMITS = {"a masked training step": (34, 9, 13), "a masked sample": (30, 9, 15)}
"""Most functions, files and changes of file."""


@pytest.fixture(scope="module")
def measured():
    return {name: walk.size for name, walk in walks().items()}


@pytest.mark.parametrize("name", LIMITS)
def test_a_reader_enters_few_functions_and_changes_file_seldom(measured, name):
    sizes = zip(("functions", "files", "changes of file"), measured[name], LIMITS[name], strict=True)
    over = [f"{what}: expected at most {limit}, got {size}" for what, size, limit in sizes if size > limit]
    assert not over, f"{name}: {'; '.join(over)}"
