"""E5 without E5.1: no ground truth for the teacher, which moves only as the student moves the shared layers."""

from elt_ref.ops import stop_gradient


def objective(target, exits, *, truth_weight):
    student, teacher = (exits[loops] for loops in sorted(exits))
    distilled = target.distillation(student, stop_gradient(teacher))
    return truth_weight * target.ground_truth(student) + (1 - truth_weight) * distilled
