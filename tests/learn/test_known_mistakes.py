"""Every known mistake in the function of an exercise is refused. It takes long enough for a file of its own."""

import pytest

from elt_ref.conformance.backend import Description
from elt_ref.conformance.exceptions import Exceptions
from elt_ref.conformance.judge import Candidate
from elt_ref.learn.exercises import exercises, mistakes_in
from elt_ref.learn.grader import ExerciseDoor, asked
from elt_ref.paper.mistakes import mistakes, page_text

ELSEWHERE = {
    ("masked.ilsd_loss", "softmax_over_codes_and_mask"),
    ("masked.ilsd_loss", "softmax_over_vocabulary"),
    ("masked.sample", "answer_is_running_tokens"),
    ("masked.train_step", "later_layers_untrained"),
}
"""Mistakes that change another function too, without which what they change of this one is right.

The first two are in the head, which is no exercise, and are never graded; the others are refused in the decoding step
and in the loss.
"""
KNOWN = [(name, mistake) for name in exercises() for mistake in sorted(mistakes_in(name))]


def refused(door, name):
    exercise = exercises()[name]
    candidate = Candidate(ExerciseDoor(door, exercise), Description(name, "", (), ("float64",)), Exceptions())
    return any(candidate.ask(vector, "float64").status != "PASS" for vector in asked(exercise))


def test_there_are_mistakes_to_refuse():
    assert len(KNOWN) >= 160
    assert sum(bool(mistakes_in(name)) for name in exercises()) >= 11


@pytest.mark.few(40)
@pytest.mark.parametrize(("name", "mistake"), KNOWN)
def test_every_known_mistake_in_an_exercise_is_refused(name, mistake, tmp_path, here):
    exercise = exercises()[name]
    file = tmp_path / exercise.file
    file.write_text(page_text(exercise.page, mistakes()[mistake].changes, mistake), encoding="utf-8")
    assert refused(here(file), name) == ((name, mistake) not in ELSEWHERE)
