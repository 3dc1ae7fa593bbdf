"""Every loop before the last is a student in every step; their terms are averaged."""

from elt_ref.ops import stop_gradient


def draw_exits(generator, *, min_loops, max_loops):
    return range(min_loops, max_loops + 1)


def objective(target, exits, *, truth_weight):
    *students, last = sorted(exits)
    fixed = stop_gradient(exits[last])
    terms = [
        truth_weight * target.ground_truth(exits[loops]) + (1 - truth_weight) * target.distillation(exits[loops], fixed)
        for loops in students
    ]
    return target.ground_truth(exits[last]) + sum(terms) * (1 / len(terms))
