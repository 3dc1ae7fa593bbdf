"""Folders of students, and a grader without processes where none is needed."""

import contextlib

import pytest

from elt_ref.conformance.perform import perform
from elt_ref.learn.exercises import exercises, pages
from elt_ref.learn.skeleton import skeleton
from elt_ref.learn.submitted import Submitted
from elt_ref.paper.mistakes import page_text


class Here:
    """A door to a file in this process."""

    isolated = False

    def __init__(self, file):
        self.submitted = Submitted(file, contextlib.nullcontext)

    def describe(self):
        return self.submitted.describe()

    def call(self, vector, dtype, keywords):  # noqa: ARG002
        return perform(self.submitted, vector.stored.operation, keywords)


@pytest.fixture
def here():
    return Here


@pytest.fixture
def whole(tmp_path):
    """Return a folder with both pages, as a student who has done everything leaves it."""
    folder = tmp_path / "whole"
    folder.mkdir()
    for page in pages():
        (folder / f"{page}.py").write_text(page_text(page), encoding="utf-8")
    return folder


@pytest.fixture
def filled(tmp_path):
    """Return ``filled(name, top="", **bodies) -> folder``: skeletons with some bodies written, and lines on top."""

    def fill(name="student", top="", **bodies):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        numbers = {each.function: number for number, each in enumerate(exercises().values(), 1)}
        for page in pages():
            text = skeleton(page)
            for function, body in bodies.items():
                line = f'    raise NotImplementedError("exercise {numbers[function]}: {function}")\n'
                text = text.replace(line, "".join(f"    {each}\n" for each in body.splitlines()))
            if page == "masked":
                text = text.replace("LAYERS, MAX_LOOPS", f"{top}\nLAYERS, MAX_LOOPS", 1)
            (folder / f"{page}.py").write_text(text, encoding="utf-8")
        return folder

    return fill
