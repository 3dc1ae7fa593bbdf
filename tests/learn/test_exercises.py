"""The table of exercises: functions that stand on the pages, with clauses and equations that exist."""

import pytest

from elt_ref.conformance.clauses import clauses
from elt_ref.errors import RequestError
from elt_ref.learn import skeleton as module
from elt_ref.learn.exercises import differing, exercises, functions, page_lines, pages
from elt_ref.learn.grader import asked
from elt_ref.learn.skeleton import skeleton, start
from elt_ref.paper.mistakes import page_text
from elt_ref.run.specs import equations

EVERY = list(exercises())


def test_there_are_fifteen():
    assert len(EVERY) == 15
    assert pages() == ["masked", "diffusion"]


@pytest.mark.few(5)
@pytest.mark.parametrize("name", EVERY)
def test_an_exercise_names_what_there_is(name):
    exercise = exercises()[name]
    text = page_text(exercise.page)
    assert exercise.function in page_lines(exercise.page)
    assert set(exercise.clauses) <= set(clauses())
    assert set(exercise.equations) <= set(equations())
    assert all(f"{used}(" in text or f" {used}\n" in text for used in exercise.uses)
    assert set(exercise.reading) <= {*exercise.clauses, *exercise.equations}
    arguments = [each.arg for each in functions(text)[exercise.function].args.args]
    assert all(list(call.arguments) == arguments for call in exercise.call)
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


def test_start_writes_the_second_page_once_the_first_is_written(tmp_path):
    folder = tmp_path / "new" / "er"
    (first,) = start(folder)
    assert (first.name, first.read_text(encoding="utf-8")) == ("masked.py", skeleton("masked"))
    with pytest.raises(
        RequestError, match=r"every function written before diffusion\.py, .* 12 to do, log_softmax first"
    ):
        start(folder)
    first.write_text("def (", encoding="utf-8")
    with pytest.raises(RequestError, match=r"got masked\.py: expected Python, got a SyntaxError"):
        start(folder)
    assert [file.name for file in folder.iterdir()] == ["masked.py"]
    first.write_text(page_text("masked"), encoding="utf-8")
    assert start(folder) == [folder / "diffusion.py"]
    assert first.read_text(encoding="utf-8") == page_text("masked")
    with pytest.raises(RequestError, match="expected a new or empty folder"):
        start(folder)


def test_start_writes_both_pages_on_request(tmp_path):
    files = start(tmp_path / "new", every=True)
    assert [file.name for file in files] == ["masked.py", "diffusion.py"]
    assert files[1].read_text(encoding="utf-8") == skeleton("diffusion")


def test_a_change_of_what_is_given_is_seen():
    text = page_text("masked")
    assert differing("masked", text) == differing("masked", skeleton("masked")) == []
    for old, new, parts in [
        ("0.5 * x * (1 + np.tanh", "0.4 * x * (1 + np.tanh", ["gelu"]),
        ("4e-3, 100  # digits", "4e-3, 7  # digits", ["WARMUP_STEPS"]),
        ("import autograd.numpy as np", "import numpy as np", ["import of np"]),
        ("lambda x: x)  # sg", "lambda x: 2 * x)  # sg", ["stop_gradient"]),
        ('draw_rows(arguments.out / "masked.png", pictures)', "pass", ["if __name__ == '__main__'"]),
        ("def gelu(x):", "def jelu(x):", ["gelu"]),
        ("def gelu(x):\n", 'def gelu(x):  # mine\n    """My own words."""\n', []),
        ("x = x - np.max(stop_gradient(x)", "x = x - np.min(stop_gradient(x)", []),
    ]:
        assert text.count(old) == 1
        assert differing("masked", text.replace(old, new)) == parts, new
