"""The grader: the pages are right, what is wrong is said in words, and no submission harms another or the grader."""

import os
import re
import textwrap

import numpy as np
import pytest

from elt_ref.conformance import doors
from elt_ref.learn.exercises import exercises
from elt_ref.learn.folder import read_submission
from elt_ref.learn.grader import grade, judged
from elt_ref.learn.numbers import unlike
from elt_ref.learn.submitted import Departed, compared
from elt_ref.paper.mistakes import mistakes, page_text


def statuses(graded):
    return {grade.exercise.function: grade.status for grade in graded.grades if grade.status != "to do"}


def messages(graded):
    return {grade.exercise.function: grade.message for grade in graded.grades if grade.status == "wrong"}


# --- what is right and what is wrong


@pytest.mark.whole
@pytest.mark.typed
def test_the_pages_score_all_and_an_untouched_skeleton_none(whole, filled):
    graded = grade(read_submission(whole), timeout=60.0)
    assert [(each.exercise.name, each.message) for each in graded.grades if each.status != "done"] == []
    assert (graded.score, graded.next, graded.faults, graded.printed, graded.differs) == (15, None, {}, {}, {})
    untouched = grade(read_submission(filled()))
    assert (untouched.score, statuses(untouched)) == (0, {})
    assert untouched.next.exercise.name == "masked.log_softmax"


def test_a_function_is_graded_with_the_pages_own_functions_beneath(filled):
    folder = filled(
        top="def mean_of(x):\n    return np.sum(x, axis=-1, keepdims=True) / x.shape[-1]\n",
        layer_norm=(
            "centred = x - mean_of(x)\n"
            "return scale * centred / np.sqrt(mean_of(centred * centred) + NORM_EPSILON) + bias"
        ),
        masked_count="raise NotImplementedError  # not yet",
        cross_entropy="half = 1 / 2\nraise NotImplementedError(half)",
        loop_states="return [x := layer_twice(x, theta) for _ in range(loops) for theta in thetas]",
    )
    graded = grade(read_submission(folder), timeout=60.0)
    assert statuses(graded) == {"layer_norm": "done", "loop_states": "wrong"}
    assert messages(graded)["loop_states"].startswith("NameError in line ")


WRONG = {
    "log_softmax": ("return None", "got None (is a return missing?)"),
    "layer_norm": ("return x", "expected the result at [0, 0, 0] to be "),
    "lowest": ("return scores < 0.5", "numbers differ)"),
    "draw": ("return 0, 0, 0, random.integers(1, MAX_LOOPS)", "expected result 1 of 4 of shape [64], got ["),
    "attention": ("return x[..., :3]", "expected the result of shape ["),
    "decode_step": ("return tokens", "expected 2 results, got ["),
}


@pytest.mark.typed
def test_what_is_wrong_is_said_in_words(filled, here):
    folder = filled(**{name: body for name, (body, _) in WRONG.items()})
    for name, (_, words) in WRONG.items():
        (exercise,) = (each for each in exercises().values() if each.function == name)
        found = judged(here(folder / exercise.file), exercise)
        assert found["status"] == "wrong"
        assert words in found["message"], found


OWN_WAY = {
    "loop_states": """
        states = []
        for _ in range(loops):
            for theta in thetas:
                x = layer(x=x, theta=theta)
            states.append(x)
        return states""",
    "sample": """
        rng = np.random.default_rng(seed)
        tokens = np.full((len(labels), TOKENS), MASK)
        nobody = np.full(len(labels), CLASSES)
        for k in range(steps):
            logits = forward(parameters, tokens, labels, loops=loops)
            if guidance != 1:
                u = forward(parameters, tokens, nobody, loops=loops)
                logits = guidance * logits + (1 - guidance) * u
            token_noise = rng.gumbel(size=logits.shape)
            confidence_noise = rng.gumbel(size=tokens.shape)
            tokens, answer = decode_step(
                logits, tokens, token_noise=token_noise, confidence_noise=confidence_noise, step=k, steps=steps
            )
        return answer""",
    "cross_entropy": "return -(weights[..., None] * target * log_prediction).sum()",
}


@pytest.mark.parametrize("name", OWN_WAY)
def test_a_right_function_may_be_written_another_way(filled, here, name):
    exercise = exercises()[f"masked.{name}"]
    folder = filled(**{name: textwrap.dedent(OWN_WAY[name]).strip()})
    assert judged(here(folder / exercise.file), exercise) == {"status": "done"}


def test_a_known_mistake_is_named(tmp_path, here):
    for name, mistake in [
        ("masked.layer_norm", "unbiased_variance"),
        ("diffusion.noise_schedule", "derivative_halved"),
    ]:
        exercise = exercises()[name]
        file = tmp_path / exercise.file
        file.write_text(page_text(exercise.page, mistakes()[mistake].changes, mistake), encoding="utf-8")
        assert judged(here(file), exercise)["mistake"] == mistake


ALIKE = {
    "masked.layer_norm": (
        "/ x.shape[-1]\n    return scale * x / np.sqrt(np.sum(x * x,",
        "/ x.shape[-1] * 1.01\n    return scale * x / np.sqrt(np.sum(x * x,",
    ),
    "masked.attention": ("np.swapaxes(heads, 1, 2), (B, n, d)", "heads, (B, n, d)"),
    "diffusion.denoise_step": ("np.sqrt(share) * noise", "share * noise"),
}
"""Wrong functions that are near a known mistake, and give other answers."""


@pytest.mark.parametrize("name", ALIKE)
def test_a_mistake_that_answers_otherwise_is_not_named(tmp_path, here, name):
    exercise, (old, new) = exercises()[name], ALIKE[name]
    text = page_text(exercise.page)
    assert text.count(old) == 1
    file = tmp_path / exercise.file
    file.write_text(text.replace(old, new), encoding="utf-8")
    found = judged(here(file), exercise)
    assert (found["status"], found["mistake"]) == ("wrong", "")


UNSEEN = {
    "log_softmax": (
        "return x - np.log(np.sum(np.exp(x), axis=-1, keepdims=True))",
        "got -inf (9 of 9 numbers differ); called with x [3, 3]",
        "log_softmax/large-logits",
    ),
    "draw": (
        "same = np.zeros(BATCH_SIZE)\nreturn same, np.zeros((BATCH_SIZE, TOKENS)), same, random.integers(1, MAX_LOOPS)",
        "expected result 1 of 4 to be independent and uniform in 0 … 1, got other numbers; called with random",
        "draw/whole-batch",
    ),
}
"""Functions that the judge's questions alone let pass."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", UNSEEN)
def test_a_call_asks_what_no_question_does(filled, here, name):
    body, words, case = UNSEEN[name]
    exercise = exercises()[f"masked.{name}"]
    found = judged(here(filled(**{name: body}) / "masked.py"), exercise)
    assert (found["status"], found["case"], found["mistake"]) == ("wrong", case, "")
    assert words in found["message"]


TOLD = {
    ("masked", "loop_states"): (
        "        yield x",
        "    yield x",
        "expected 3 states, got 1; called with x [2, 6, 8], thetas (1 layer), loops = 3",
    ),
    ("masked", "lowest"): (
        "axis=1) < count",
        "axis=1) <= count",
        "at [0, 6] to be False, got True (2 of 14 numbers differ); there scores[0] = [",
    ),
    ("masked", "train_step"): (
        "rate = LEARNING_RATE * min(1, (step + 1) / WARMUP_STEPS)",
        "rate = LEARNING_RATE * min(1, step / WARMUP_STEPS)",
        "3 of 8 numbers of 'rates' differ; the largest difference is at [2]: expected 0.05, got 0.0333333",
    ),
    ("diffusion", "squared_error"): (
        "np.sum(weight * (prediction - target) ** 2)",
        "np.sum(stop_gradient(weight * (prediction - target) ** 2))",
        "its gradient is not: the weight w(t), read from the gradient in prediction, differs: expected 0.323505, got 0",
    ),
    ("diffusion", "denoise_step"): (
        "+ sigma_next * np.sqrt(share) * noise",
        "+ np.float32(sigma_next) * np.sqrt(share) * noise",
        " of the largest number apart, 1e-09 is allowed; is something cast to float32? (",
    ),
}


@pytest.mark.few(2)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("page", "name"), TOLD)
def test_the_words_say_what_a_student_can_use(tmp_path, here, page, name):
    exercise, (old, new, words) = exercises()[f"{page}.{name}"], TOLD[page, name]
    text = page_text(page)
    assert text.count(old) == 1
    (tmp_path / exercise.file).write_text(text.replace(old, new), encoding="utf-8")
    assert words in judged(here(tmp_path / exercise.file), exercise)["message"]


def test_the_row_of_a_small_input_is_shown():
    marked = compared(
        lambda scores, count: scores < count[:, None], lambda scores, count: scores <= count[:, None], shapes=False
    )
    with pytest.raises(
        Departed, match=re.escape("True (1 of 6 numbers differ); there scores[1] = [1, 2, 3], count[1] = 2")
    ):
        marked(np.array([[0.5, 1.5, 3.5], [1.0, 2.0, 3.0]]), np.array([1.0, 2.0]))


def test_digits_are_shown_until_two_numbers_differ():
    assert unlike(4.0915487, 4.0915489, 5e-8, 1e-9).startswith("4.0915487, got 4.0915489: 5e-08 of the largest number")
    assert unlike(0.477622, 0.335469, 0.3, 1e-9) == "0.477622, got 0.335469"
    assert unlike(np.int64(3), np.int64(4), 0.3, 0.0) == "3, got 4"


# --- what harms nobody


@pytest.mark.whole
def test_no_function_harms_another_or_its_own_folder(filled):
    folder = filled(
        log_softmax="import subprocess\nsubprocess.run(['true'])",
        layer_norm="import os\nos._exit(0)",
        loop_states="while True:\n    pass",
        masked_count="import os\n[os.remove(name) for name in os.listdir('.')]",
        lowest="print('hello')\nreturn np.argsort(np.argsort(scores, axis=1, kind='stable'), axis=1) < count[:, None]",
        cross_entropy="return np.zeros((2**20, 2**20))",
        draw="raise SystemExit(0)",
        attention="open('notes.txt', 'w')",
        sample="import os\nos.fork()",
        train_step="import os, signal\nos.kill(os.getppid(), signal.SIGKILL)",
        noise_schedule="return input()",
        squared_error="return squared_error(target, prediction, time)",
    )
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    graded = grade(read_submission(folder), timeout=5.0)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert set(statuses(graded).values()) == {"wrong", "done"}
    assert statuses(graded)["lowest"] == "done"
    assert graded.printed["masked.py"].startswith("'hello' and ")
    said = messages(graded)
    for name, words in {
        "log_softmax": "expected a function that only computes, got a process (subprocess.Popen)",
        "layer_norm": "the program died (exit code 0) without answering",
        "loop_states": "no answer within 5 s: does a loop never end? (--timeout allows more)",
        "masked_count": "got a change of files (os.remove)",
        "cross_entropy": "Error",
        "draw": "SystemExit in line ",
        "attention": "got a file to write (open)",
        "sample": "got a process (os.fork)",
        "train_step": "got a signal (os.kill)",
        "noise_schedule": "EOFError in line ",
        "squared_error": "RecursionError in line ",
    }.items():
        assert words in said[name], (name, said[name])


IMPORTS = {
    "raise ValueError('no')": "expected a file that can be imported, got ValueError in line ",
    "def broken(:": "expected Python, got a SyntaxError in line ",
    "raise SystemExit": "expected a file that can be imported, got SystemExit in line ",
    "import os; os._exit(3)": "ends the program while it is imported (exit code 3)",
    "while True: pass": "does not finish importing within 1 s: does a loop outside of the functions never end?",
    "print('a' * 10**8)": "OSError",
    "x = 1\0": "expected Python, got a ",
    "x = " + "(" * 500: "expected Python, got a ",
}


@pytest.mark.few(5)
@pytest.mark.parametrize("written", [{"lowest": "return scores"}, {}])
@pytest.mark.parametrize("top", IMPORTS)
def test_a_file_that_cannot_be_imported_gets_a_sentence(filled, monkeypatch, top, written):
    if "while" in top:
        monkeypatch.setattr(doors, "START", 1.0)
    folder = filled(top=top, **written)
    graded = grade(read_submission(folder), timeout=1.0 if "while" in top else 60.0)
    assert IMPORTS[top] in graded.faults["masked.py"], graded.faults
    assert graded.score == 0
    not_read = {each.exercise.function: each.message for each in graded.grades if each.status == "not read"}
    assert set(not_read.values()) <= {graded.faults["masked.py"]}
    assert written.keys() <= not_read.keys()


def test_what_a_file_prints_before_anything_is_written_is_told(filled):
    assert grade(read_submission(filled(top="print('hi')"))).printed == {"masked.py": "'hi'"}


def test_one_exercise_is_graded_alone(filled):
    folder = filled(top="GELU = 3", lowest="return scores", masked_count="return ratio")
    graded = grade(read_submission(folder), only=["masked.lowest"], timeout=60.0)
    assert [(each.number, each.status) for each in graded.grades] == [(5, "wrong")]


def test_files_that_are_no_files_get_a_sentence(tmp_path):
    folder = tmp_path / "strange"
    folder.mkdir()
    os.mkfifo(folder / "masked.py")
    (folder / "diffusion.py").symlink_to("/etc/hostname")
    faults = read_submission(folder).faults
    assert faults == {
        "masked.py": "expected a regular file, got a folder, FIFO or device",
        "diffusion.py": "expected a file inside the folder, got a link out of it",
    }
    (folder / "masked.py").unlink()
    (folder / "masked.py").write_bytes(b"#" * (2**20 + 1))
    assert "expected at most 1048576 bytes" in read_submission(folder).faults["masked.py"]
