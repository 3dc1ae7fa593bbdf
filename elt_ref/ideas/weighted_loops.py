"""Weighted loops: every loop is a student of the last, and a later one counts for more. With one student it is ILSD."""

from elt_ref import stop_gradient


def draw_exits(generator, *, min_loops, max_loops):
    return range(min_loops, max_loops + 1)


def objective(target, exits, *, truth_weight):
    *students, last = exits
    total = target.ground_truth(exits[last])
    for loops in students:
        weight = loops / sum(students)
        total = total + weight * truth_weight * target.ground_truth(exits[loops])
        distilled = target.distillation(exits[loops], stop_gradient(exits[last]))
        total = total + weight * (1 - truth_weight) * distilled
    return total
