"""Random loops without a teacher: every step loops a number of times of its own, and is supervised there alone."""


def draw_exits(generator, *, min_loops, max_loops):
    return [generator.integers(min_loops, max_loops + 1)]
