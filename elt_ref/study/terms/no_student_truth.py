"""E5 without E5.2: the student learns from the teacher alone."""

from elt_ref.ops import stop_gradient


def objective(target, exits, *, truth_weight):
    student, teacher = (exits[loops] for loops in sorted(exits))
    distilled = target.distillation(student, stop_gradient(teacher))
    return target.ground_truth(teacher) + (1 - truth_weight) * distilled
