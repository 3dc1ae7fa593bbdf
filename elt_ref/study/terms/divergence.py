"""E8 as a divergence: less by the teacher's entropy, which has no gradient, so that the training is the same."""

from elt_ref.ops import stop_gradient


def objective(target, exits, *, truth_weight):
    student, teacher = (exits[loops] for loops in sorted(exits))
    fixed = stop_gradient(teacher)
    distilled = target.distillation(student, fixed) - target.distillation(fixed, fixed)
    return target.ground_truth(teacher) + truth_weight * target.ground_truth(student) + (1 - truth_weight) * distilled
