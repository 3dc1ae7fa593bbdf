"""ILSD without its stop-gradient: distillation pulls the teacher towards the student, too."""


def objective(target, exits, *, truth_weight):
    student, teacher = exits.values()
    total = target.ground_truth(teacher) + truth_weight * target.ground_truth(student)
    return total + (1 - truth_weight) * target.distillation(student, teacher)
