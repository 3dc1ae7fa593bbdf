"""The course: every chapter quotes the page, computes a figure, asks a question, and runs."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COURSE = ROOT / "docs" / "course"
CHAPTERS = sorted(COURSE.glob("[0-9]*.md"))
by_name = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)


@pytest.fixture
def course(monkeypatch):
    """The course's own modules, which chapters import; a notebook runs in its own folder."""
    monkeypatch.chdir(COURSE)
    monkeypatch.syspath_prepend(COURSE)
    for name in ("run", "figures", "quality", "small_models"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_there_are_about_ten_chapters_in_the_order_of_their_numbers():
    assert [chapter.stem[:2] for chapter in CHAPTERS] == [f"{number:02}" for number in range(1, len(CHAPTERS) + 1)]
    assert 10 <= len(CHAPTERS) <= 14
    contents = (COURSE / "index.md").read_text("utf-8")
    assert re.findall(r"\]\((\d\d-.*?)\.md\)", contents) == [chapter.stem for chapter in CHAPTERS]


@by_name
def test_a_chapter_has_all_its_parts(chapter):
    text = chapter.read_text("utf-8")
    assert text.startswith("---\njupytext:\n"), "Jupyter takes it for a notebook"
    assert re.search(r"^```\{code-cell\} ipython3$", text, re.MULTILINE)
    assert re.search(r"^```python elt_ref/paper/\w+\.py$", text, re.MULTILINE)
    assert "## Question\n" in text
    assert text.count("<details>\n<summary>Answer</summary>\n\n") == text.count("\n\n</details>\n") == 1
    assert "assert " in text, "what the prose says of the numbers is held by an assertion"


@by_name
def test_a_chapter_shows_its_figures_also_on_a_code_host(chapter):
    text = chapter.read_text("utf-8")
    shown = re.findall(r'^show\(figure, "(.*?)"\)$', text, re.MULTILINE)
    pictures = re.findall(r"^!\[(.+?)\]\(\.\./pictures/course-(.*?)\.png\)$", text, re.MULTILINE)
    assert shown
    assert [name for _, name in pictures] == shown
    assert all(len(alternative) > 40 for alternative, _ in pictures), "what a figure shows is also said"


def test_no_picture_of_the_course_is_left_over():
    pictures = {path.stem for path in (ROOT / "docs" / "pictures").glob("course-*.png")}
    assert pictures == {f"course-{name}" for chapter in CHAPTERS for name in shown_in(chapter)}


def shown_in(chapter):
    return re.findall(r'^show\(figure, "(.*?)"\)$', chapter.read_text("utf-8"), re.MULTILINE)


@pytest.mark.usefixtures("course")
def test_cells_are_those_of_the_text(tmp_path):
    import run

    chapter = tmp_path / "chapter.md"
    chapter.write_text("# A\n\n```{code-cell} ipython3\n:tags: [x]\na = 1\n```\n\n```python\nb = 2\n```\n", "utf-8")
    assert list(run.cells(chapter)) == [(4, "a = 1\n")]
    assert run.run(chapter)["a"] == 1


@pytest.mark.usefixtures("course")
def test_a_changed_page_is_another_model_and_a_changed_line_must_stand_once():
    import small_models

    page, plain = small_models.masked_page(), small_models.masked_page(small_models.VANILLA)
    assert page.recipe != plain.recipe
    assert page.WIDTH == plain.WIDTH == 32
    with pytest.raises(ValueError, match="once"):
        small_models.masked_page(("    no such line", "    another"))


@pytest.mark.usefixtures("course")
def test_tokens_of_a_training_patch_come_back_as_the_nearest_centre():
    import numpy as np
    import small_models

    tokens = small_models.tokens_of(small_models.digits().train.examples[:20])
    again = small_models.picture_of(tokens) * small_models.digits().white
    assert np.array_equal(small_models.tokens_of(again), tokens)


@pytest.mark.slow
@pytest.mark.timeout(600)
@by_name
@pytest.mark.usefixtures("course")
def test_a_chapter_runs(chapter):
    import run

    run.run(chapter)
