"""The table of exercises: functions that stand on the pages, with clauses and equations that exist."""

import pytest

from elt_ref.conformance.clauses import clauses
from elt_ref.learn import skeleton as module
from elt_ref.learn.exercises import exercises, functions, page_lines, pages
from elt_ref.learn.grader import asked
from elt_ref.learn.skeleton import skeleton, start
from elt_ref.paper.mistakes import page_text
from elt_ref.run.specs import equations

EVERY = list(exercises())


def test_there_are_fifteen():
    assert len(EVERY) == 15
    assert pages() == ["masked", "diffusion"]


@pytest.mark.parametrize("name", EVERY)
def test_an_exercise_names_what_there_is(name):
    exercise = exercises()[name]
    text = page_text(exercise.page)
    assert exercise.function in page_lines(exercise.page)
    assert set(exercise.clauses) <= set(clauses())
    assert set(exercise.equations) <= set(equations())
    assert all(f"{used}(" in text or f" {used}\n" in text for used in exercise.uses)
    asked_about = {vector.stored.clause for vector in asked(exercise)}
    assert asked_about == set(exercise.clauses), "a clause that the page does not reach asks nothing"


@pytest.mark.typed
@pytest.mark.parametrize("name", EVERY)
def test_the_body_is_taken_out_and_help_stands_there(name):
    exercise = exercises()[name]
    page, text = page_text(exercise.page).splitlines(), skeleton(exercise.page)
    body = functions(page_text(exercise.page))[exercise.function].body[-1]
    solution = "\n".join(page[body.lineno - 1 : body.end_lineno])
    assert solution not in text
    told = f"{exercise.title} {exercise.formula} {exercise.shapes} {exercise.hint}"
    assert set(told.split()) <= set(text.split())
    assert f'raise NotImplementedError("exercise {EVERY.index(name) + 1}: {exercise.function}")' in text


@pytest.mark.parametrize("page", ["masked", "diffusion"])
def test_a_skeleton_is_the_page_but_for_the_exercises(page):
    own = [each.function for each in exercises().values() if each.page == page]
    lines = skeleton(page).splitlines()
    assert max(map(len, lines)) <= 120
    assert functions(skeleton(page)).keys() == functions(page_text(page)).keys()
    kept = page_text(page).splitlines()
    for name in own:
        node = functions(page_text(page))[name]
        kept[node.lineno : node.end_lineno] = [""] * (node.end_lineno - node.lineno)
    assert [line for line in kept if line and line not in lines] == []


def test_a_change_of_the_page_changes_the_skeleton(monkeypatch):
    changed = page_text("masked").replace("HEADS, MLP_WIDTH = 2, 4, 64, 4, 256", "HEADS, MLP_WIDTH = 3, 4, 64, 4, 256")
    monkeypatch.setattr(module, "page_text", lambda _: changed)
    assert "= 3, 4, 64, 4, 256" in skeleton("masked")


def test_start_writes_both_pages_into_a_new_folder(tmp_path):
    files = start(tmp_path / "new" / "er")
    assert [file.name for file in files] == ["masked.py", "diffusion.py"]
    assert files[0].read_text(encoding="utf-8") == skeleton("masked")
