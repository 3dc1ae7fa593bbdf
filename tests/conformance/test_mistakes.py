"""Known mistakes as data: every one applies, still trains, is listed and refused, and is shown as a diff."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from elt_ref.conformance.alike import clause_of, refusals
from elt_ref.conformance.clauses import clauses
from elt_ref.paper import mistakes as module
from elt_ref.paper.mistakes import Change, Mistake, diff, mistakes, page_text, page_with, read
from specs.making import gallery, gallery_page
from specs.making.wrong import classes, wrong_implementations

ROOT = Path(__file__).resolve().parents[2]
ON_PAGES = [name for name, mistake in mistakes().items() if mistake.changes]
TEACHER = mistakes()["teacher_not_stopped"]


# --- the data


def test_there_are_all_of_the_first_edition_and_most_of_them_stand_on_a_page():
    assert len(mistakes()) >= 333
    assert len(ON_PAGES) >= 240
    assert set(wrong_implementations()) == set(mistakes())
    assert set(classes()) == set(mistakes()) - set(ON_PAGES)


def test_every_mistake_is_listed_by_a_clause_and_none_is_listed_that_is_not_there():
    listed = {name for clause in clauses().values() for name in clause.wrong}
    assert listed == set(mistakes())


@pytest.mark.parametrize("name", ON_PAGES)
def test_every_line_that_changes_stands_on_its_page_once_and_the_new_ones_are_short(name):
    for page in {change.page for change in mistakes()[name].changes}:
        text = page_text(page, mistakes()[name].changes, name)
        assert text != page_text(page)
        assert max(map(len, text.splitlines())) <= 120


SMALL = {"LAYERS": 2, "WIDTH": 8, "HEADS": 2, "MLP_WIDTH": 8, "BATCH_SIZE": 4, "SAMPLING_STEPS": 2}
SMALL_PAGE = {
    "masked": {"TOKENS": 4, "CODES": 6, "CLASSES": 3},
    "diffusion": {"SHAPE": (4, 4, 1), "CLASSES": 3, "TIME_FEATURES": 4},
    "drifting": {"CLASSES_PER_STEP": 2, "POSITIVES": 3},
}
EXAMPLES = {
    "masked": np.arange(48).reshape(12, 4) % 6,
    "diffusion": np.float32(np.random.default_rng(0).standard_normal((12, 4, 4, 1))),
}
EXAMPLES["drifting"] = EXAMPLES["diffusion"]


@pytest.mark.few(6)
@pytest.mark.parametrize("name", ON_PAGES)
def test_a_page_with_the_mistake_still_trains_and_draws(name, capsys):
    for family in {change.page for change in mistakes()[name].changes}:
        page = page_with(family, mistakes()[name])
        parts = [(page, family), *([(page.network, "diffusion")] if family == "drifting" else [])]
        for part, sizes in parts:
            known = SMALL | SMALL_PAGE[sizes]
            vars(part).update({key: value for key, value in known.items() if key in vars(part)})
        parameters = page.train(EXAMPLES[family], np.arange(12) % 3, 3)
        with np.errstate(all="ignore"):
            guided = {} if family == "drifting" else {"guidance": 2.0}
            drawn = page.sample(parameters, np.arange(3), 2, **guided)
        assert drawn.shape == (3, *EXAMPLES[family].shape[1:])
    assert "step 3 of 3" in capsys.readouterr().out


def test_a_line_that_no_longer_matches_is_named():
    gone = Mistake("gone", "A line is gone.", "", (Change("masked", "    x = 1", "    x = 2"),), "")
    with pytest.raises(ValueError, match="mistake gone, page masked: expected the line 'x = 1' once, got it 0 times"):
        page_with("masked", gone)
    twice = gone._replace(changes=(Change("masked", "    return x", "    return -x"),))
    with pytest.raises(ValueError, match="expected the line 'return x' once, got it 0 times"):
        page_with("masked", twice)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[A]\nwhat = "x"\nmade = "y"', "expected a name of small letters"),
        ('[a]\nwhat = "x"', "either changes or 'made', got what"),
        ('[a]\nmade = "x"', "expected 'what'"),
        ('[a]\nwhat = "x"\nmade = "y"\nwhy = "z"', "expected the keys what, seen, made and change, got why"),
        ('[a]\nwhat = "x"\n[[a.change]]\npage = "drift"\nold = "b"\nnew = "c"', "expected a page of masked, diffusion"),
        ('[a]\nwhat = "x"\n[[a.change]]\npage = "masked"\nold = "b"', "expected page, old and new, got page, old"),
    ],
)
def test_a_wrong_entry_is_refused_in_a_sentence(tmp_path, text, problem):
    path = tmp_path / "some.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=problem):
        read(path)


def test_a_name_that_comes_twice_is_refused(tmp_path, monkeypatch):
    for file in ("one", "two"):
        (tmp_path / f"{file}.toml").write_text('[a]\nwhat = "x"\nmade = "y"', encoding="utf-8")
    monkeypatch.setattr(module, "mistakes_folder", lambda: tmp_path)
    with pytest.raises(ValueError, match=r"mistake a in two\.toml: expected a name of its own"):
        mistakes.__wrapped__()


# --- the kill matrix


FORMER = json.loads((ROOT / "specs" / "making" / "former_refusals.json").read_text(encoding="utf-8"))
"""Clauses that refused each mistake when it was a class: suite 1.2.0 of the second edition."""


def test_the_kill_matrix_covers_the_one_before():
    lost = {
        (name, clause)
        for name, before in FORMER["refused"].items()
        for clause in set(before) - {clause_of(case) for case in refusals()[name]}
    }
    assert lost == {(name, clause) for name, clause, _ in FORMER["lost"]}, (
        "only what no page can be asked is lost, with its reason"
    )


def test_every_clause_still_refuses_one_of_its_own():
    for id_, clause in clauses().items():
        own = [name for name in clause.wrong if id_ in {clause_of(case) for case in refusals()[name]}]
        assert own == list(clause.wrong), id_


# --- what people see


def test_show_prints_a_mistake_as_a_diff_with_the_clause_that_refuses_it(done):
    out = done("show", "teacher_not_stopped").out
    assert out.startswith("teacher_not_stopped (known mistake)\n\nThere is no stop-gradient")
    assert "--- elt_ref/paper/masked.py\n+++ elt_ref/paper/masked.py\n@@" in out
    assert "\n-    distilled = cross_entropy(np.exp(stop_gradient(teacher)), student, weights)" in out
    assert f"\nrefused by DISTIL-03: {clauses()['DISTIL-03'].sentence}\n" in out
    assert "\ntry it     python -m elt_ref.paper.masked --mistake teacher_not_stopped\n" in out
    assert "\n  DISTIL-03/" in out


def test_show_says_why_a_mistake_is_a_class(done):
    assert "A class of specs/making/wrong, and no change of a page: " in done("show", "macs_as_flops").out


def test_a_diff_changes_the_page_into_the_other(tmp_path):
    for page in {change.page for change in TEACHER.changes}:
        path = tmp_path / "elt_ref" / "paper" / f"{page}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page_text(page), encoding="utf-8")
    patch = ["patch", "-p0", "--quiet"]
    subprocess.run(patch, input=diff(TEACHER) + "\n", text=True, cwd=tmp_path, check=True)
    assert (tmp_path / "elt_ref/paper/masked.py").read_text(encoding="utf-8") == page_text("masked", TEACHER.changes)


def run_page(*arguments):
    command = [sys.executable, "-m", "elt_ref.paper.masked", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.whole
def test_a_page_trains_with_a_mistake(tmp_path):
    right = run_page("--steps", "2", "--out", str(tmp_path / "right"))
    wrong = run_page("--steps", "2", "--out", str(tmp_path / "wrong"), "--mistake", "truth_weight_reversed")
    assert right.returncode == wrong.returncode == 0, wrong.stderr
    assert (tmp_path / "wrong" / "masked.png").exists()
    assert right.stdout.split("the same")[0] != wrong.stdout.split("the same")[0], "λ changes the loss"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--mistake", "teacher_not_stoped"], "got 'teacher_not_stoped'; did you mean 'teacher_not_stopped'?"),
        (["--mistake", "time_unscaled"], "expected a mistake of this page, got 'time_unscaled'"),
        (["--mistake", "macs_as_flops"], "expected a mistake of this page, got 'macs_as_flops'"),
        (["--steps", "0"], "expected a number of steps from 1 to 999999999, got '0'"),
        (["--out", "/dev/null/here"], "expected a folder, got '/dev/null/here'"),
    ],
)
def test_a_wrong_option_of_a_page_is_one_sentence(arguments, problem):
    done = run_page(*arguments)
    assert done.returncode == 2
    assert problem in done.stderr
    assert "Traceback" not in done.stderr


# --- the gallery


def test_the_gallery_has_twenty_and_its_page_is_of_the_measured_numbers():
    assert len(gallery.GALLERY) == 20
    rows = json.loads(gallery.FILE.read_text(encoding="utf-8"))
    assert {row["seed"] for row in rows} >= {0, 1}
    text = gallery_page.page_text(rows)
    assert (ROOT / "docs" / "mistakes.md").read_text(encoding="utf-8") == text, "run specs.making.gallery --page"


def test_a_mistake_of_sampling_draws_from_the_right_pages_parameters():
    assert gallery.trained_alike(mistakes()["least_confident_kept"], "masked")
    assert not gallery.trained_alike(mistakes()["truth_weight_reversed"], "masked")


@pytest.mark.slow
def test_three_of_the_gallery_run_shortened():
    done = subprocess.run(
        [sys.executable, "-m", "specs.making.gallery", "--quick"], capture_output=True, text=True, check=True
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["mistake"] for row in rows} == {"", *gallery.QUICK}
