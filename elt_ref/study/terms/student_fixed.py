"""The student always leaves after half of the loops."""


def draw_exits(generator, *, min_loops, max_loops):
    return max(min_loops, max_loops // 2), max_loops
