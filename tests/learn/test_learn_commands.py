"""`elt-ref learn` as a student and a teacher call it."""

import csv
import io
import json
import subprocess
import sys

import pytest

from elt_ref.learn.exercises import exercises
from elt_ref.learn.grader import Grade, Graded
from elt_ref.learn.results import next_step


def test_start_names_the_first_exercise_and_writes_nothing_over(done, command, tmp_path):
    folder = tmp_path / "mine"
    out = done("learn", "start", folder).out
    assert "Begin with log_softmax" in out
    before = (folder / "masked.py").read_bytes()
    again = command("learn", "start", folder)
    assert (again.code, again.out) == (2, "")
    assert "got 12 to do, log_softmax first; --all writes it now" in again.err
    (folder / "masked.py").rename(folder / "mine.py")
    again = command("learn", "start", folder)
    assert "expected a new or empty folder, got one with files; nothing was written" in again.err
    (folder / "mine.py").rename(folder / "masked.py")
    assert (folder / "masked.py").read_bytes() == before


@pytest.mark.parametrize("what", ["check", "grade"])
def test_a_missing_folder_is_a_wrong_request(command, tmp_path, what):
    done = command("learn", what, tmp_path / "nowhere")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "got No such file or directory" in done.err


def test_a_folder_without_pages_is_a_wrong_request(command, tmp_path):
    assert "expected masked.py or diffusion.py in it, got neither" in command("learn", "check", tmp_path).err
    assert "expected a folder for each submission in it, got none" in command("learn", "grade", tmp_path).err
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert command("learn", "start", tmp_path / "file").code == 2
    assert command("learn", "check", tmp_path / "file").code == 2


RIGHT = "return np.argsort(np.argsort(scores, axis=1, kind='stable'), axis=1) < count[:, None]"


def test_check_shows_progress_the_next_step_and_where_to_read(command, filled):
    folder = filled(lowest=RIGHT, layer_norm="return scale * x + bias", noise_schedule="return time")
    done = command("learn", "check", folder)
    assert done.code == 1
    assert "1 of 15 done. Next: put right 2 layer_norm (Layer norm), masked.py:" in done.out
    assert (
        "  Read `elt-ref show --no-page BLOCK-01`; last of all the page's own lines: elt_ref/paper/masked.py"
        in done.out
    )
    assert "  The smallest wrong case is BLOCK-01/one-head-one-token.\n" in done.out
    assert "13 noise_schedule, diffusion.py:" in done.out
    assert "known mistake" not in done.out


def test_check_names_a_mistake_and_says_what_differs(command, filled):
    body = (
        "x = x - np.sum(x, axis=-1, keepdims=True) / x.shape[-1]\n"
        "variance = np.sum(x * x, axis=-1, keepdims=True) / (x.shape[-1] - 1)\n"
        "return scale * x / np.sqrt(variance + NORM_EPSILON) + bias"
    )
    folder = filled(layer_norm=body)
    text = (folder / "masked.py").read_text(encoding="utf-8")
    (folder / "masked.py").write_text(text.replace("4e-3, 100", "4e-3, 7").replace("return 0.5 * x", "return 0.4 * x"))
    out = command("learn", "check", folder, "layer_norm").out
    assert out.count("The known mistake unbiased_variance gives exactly this answer: ") == 1
    assert "masked.py: WARMUP_STEPS, gelu differ from the page's; your file will train otherwise." in out
    assert "0 of 1 done. Next: put right 2 layer_norm" in out


def test_check_grades_the_exercises_that_are_named(command, filled):
    folder = filled(lowest=RIGHT)
    for word in ("5", "lowest", "masked.lowest"):
        done = command("learn", "check", folder, word)
        assert (done.code, f"1 of 1 done. All 15: elt-ref learn check {folder}\n" in done.out) == (0, True)
    done = command("learn", "check", folder, "lowst")
    assert done.code == 2
    assert "expected a number from 1 to 15 or a function, got 'lowst'; did you mean 'lowest'?" in done.err


def test_the_second_page_is_started_when_the_first_is_done(command, whole):
    (whole / "diffusion.py").unlink()
    done = command("learn", "check", whole, "denoise_step", "lowest")
    assert (done.code, "expected a file" in done.out) == (1, False)
    assert f"1 of 2 done. Next: elt-ref learn start {whole} writes diffusion.py" in done.out
    assert "Begin with noise_schedule" in command("learn", "start", whole).out


def test_the_last_line_names_both_files():
    every = tuple(Grade(number, each, "done", 1) for number, each in enumerate(exercises().values(), 1))
    said = next_step(Graded(every, {}, {}, {}), "F")
    assert "15 of 15 done. Now let your files train: python F/masked.py --steps 300 --out F, then python F/diff" in said


@pytest.mark.few(2)
@pytest.mark.parametrize("name", ["E7", "E3", "A2", "unbiased_variance"])
def test_show_leaves_the_page_out_on_request(done, name):
    solution = ("return -np.sum(weights", "x = layer(x", "logits = forward(", "np.sqrt(")
    assert any(line in done("show", name).out for line in solution)
    assert not any(line in done("show", "--no-page", name).out for line in solution)


def test_check_prints_one_json_object(command, filled):
    folder = filled(lowest=RIGHT)
    done = command("learn", "check", folder, "--json")
    assert done.code == 1
    document = json.loads(done.out)
    assert (document["score"], document["of"], document["next"]) == (1, 15, "masked.log_softmax")
    assert [row["name"] for row in document["exercises"]] == list(exercises())
    assert {row["status"] for row in document["exercises"]} == {"done", "to do"}


@pytest.mark.whole
@pytest.mark.typed
def test_grade_writes_a_row_for_each_submission(command, filled, tmp_path):
    filled("class/ada", lowest=RIGHT)
    filled("class/=bob", lowest="import shutil\nshutil.rmtree('..')")
    filled("class/cid", top="raise ValueError('no')", lowest=RIGHT)
    (tmp_path / "class" / "dora").mkdir()
    out = tmp_path / "grades.csv"
    done = command("learn", "grade", tmp_path / "class", "--out", out, "--json")
    assert done.code == 0
    rows = {row["submission"]: row for row in json.loads(done.out)["submissions"]}
    assert {name: row["score"] for name, row in rows.items()} == {"ada": 1, "=bob": 0, "cid": 0, "dora": 0}
    written = list(csv.DictReader(io.StringIO(out.read_text(encoding="utf-8"))))
    assert [row["submission"] for row in written] == ["'=bob", "ada", "cid", "dora"]
    assert [row["masked.lowest"] for row in written] == ["wrong", "done", "not read", "to do"]
    assert "got a change of files (shutil.rmtree)" in written[0]["note"]
    assert "got ValueError in line " in written[2]["note"]
    assert "got neither" in written[3]["note"]


def test_a_csv_that_cannot_be_written_is_refused_before_work(command, filled, tmp_path):
    filled("class/ada")
    done = command("learn", "grade", tmp_path / "class", "--out", tmp_path / "no" / "grades.csv")
    assert (done.code, done.out) == (2, "")


@pytest.mark.whole
def test_the_finished_files_train(whole):
    for page in ("masked", "diffusion"):
        words = [sys.executable, str(whole / f"{page}.py"), "--steps", "2", "--out", str(whole)]
        subprocess.run(words, check=True, capture_output=True)
        assert (whole / f"{page}.png").stat().st_size > 1000
