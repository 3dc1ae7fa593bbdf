"""DISTIL: the ILSD loss, its student, and where its gradients go."""

from typing import Any

from specs.making.case import Case
from specs.making.cases.masked_parts import learning


def loss(clause: str, slug: str, why: str, **made: Any) -> Case:
    """Return a case of the loss and its terms."""
    return Case(clause, slug, "masked_objective", why, **learning(f"{clause}/{slug}".lower(), **made))


def gradient(clause: str, slug: str, why: str, **made: Any) -> Case:
    """Return a case of the gradient."""
    return Case(clause, slug, "masked_gradient", why, **learning(f"{clause}/{slug}".lower(), **made))


def weights(slug: str, why: str, steps: int) -> Case:
    """Return a case of λ over a training."""
    return Case("DISTIL-06", slug, "truth_weights", why, {"steps": steps})


def draws(slug: str, why: str, least: int, most: int, count: int) -> Case:
    """Return a case of the student's draw."""
    settings = {"min_loops": least, "max_loops": most, "count": count, "seed": 7}
    return Case("DISTIL-07", slug, "student_draws", why, settings)


CASES = (
    loss("DISTIL-01", "between", "λ on the wrong term", weight=0.3, student=1),
    loss("DISTIL-01", "one", "λ = 1: distillation weighs nothing", weight=1.0, student=2, layers=1),
    loss("DISTIL-01", "zero", "λ = 0: the student's truth weighs nothing, the teacher's all", weight=0.0, layers=1),
    loss("DISTIL-01", "sum", "the same weights of sums", weight=0.75, reduction="sum", layers=1, batch=3),
    loss("DISTIL-02", "one-loop", "a student one loop ahead, or of another head", student=1),
    loss("DISTIL-02", "one-below-teacher", "a student one loop behind", student=2, layers=1),
    loss(
        "DISTIL-02",
        "middle-of-five",
        "a student in the middle of many loops",
        student=3,
        max_loops=5,
        layers=1,
        batch=1,
    ),
    loss("DISTIL-02", "sum", "the same in sums", student=1, layers=1, reduction="sum"),
    gradient("DISTIL-03", "distillation-alone", "a teacher that follows its student", weight=0.0, student=1),
    gradient("DISTIL-03", "between", "a teacher that follows its student a little", weight=0.6, student=2, layers=1),
    gradient("DISTIL-03", "sum", "the same in sums", weight=0.2, student=1, layers=1, reduction="sum"),
    gradient("DISTIL-04", "no-distillation", "the teacher's truth cut off at L_int", weight=1.0, student=2, layers=1),
    gradient("DISTIL-04", "between", "the teacher's truth cut off at L_int", weight=0.4, student=1),
    gradient("DISTIL-04", "two-of-three", "a student differentiated through its last loop alone, or all", student=2),
    gradient(
        "DISTIL-04", "distillation-alone", "the same of the distillation term", weight=0.0, student=2, layers=1, batch=1
    ),
    gradient("DISTIL-04", "first-loop", "L_int = 1: the embedding is reached", weight=1.0, student=1, layers=1),
    gradient("DISTIL-04", "sum", "the same in sums", weight=0.5, student=2, layers=1, reduction="sum", batch=1),
    loss("DISTIL-05", "mean", "a divergence, the roles swapped, a softened or hardened teacher", student=1, weight=0.2),
    loss("DISTIL-05", "sum", "the same in sums", student=2, weight=0.5, reduction="sum", layers=1),
    loss(
        "DISTIL-05",
        "one-token",
        "one masked token in each sample",
        student=1,
        layers=1,
        mask=[[0, 0, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0]],
    ),
    weights("eleven-steps", "λ that does not end at 0, or rises, or bends", 11),
    weights("two-steps", "both ends and nothing between", 2),
    weights("one-step", "a training of one step has λ = 1", 1),
    draws("one-to-three", "L_max among the draws, L_min not, ends half as often", 1, 4, 4000),
    draws("two-to-six", "an L_min that is overlooked", 2, 7, 4000),
    draws("only-one", "L_max = 2: the student always has one loop", 1, 2, 200),
    loss("DISTIL-08", "mean", "a vanilla loss over every loop, or with a student", student=None),
    loss(
        "DISTIL-08",
        "sum",
        "the same in sums, with a λ that is not looked at",
        student=None,
        weight=0.0,
        reduction="sum",
        layers=1,
    ),
    loss("DISTIL-08", "one-loop", "an unlooped network", student=None, max_loops=1, batch=1),
)
