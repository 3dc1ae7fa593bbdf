"""λ falls along a half cosine from 1 to 0: slowly at both ends."""

import math


def truth_weight_at(step, steps):
    return 0.5 * (1 + math.cos(math.pi * step / max(1, steps - 1)))
