"""λ is 1 in the first half of the training and 0 in the second."""


def truth_weight_at(step, steps):
    return 1.0 if 2 * step < steps else 0.0
