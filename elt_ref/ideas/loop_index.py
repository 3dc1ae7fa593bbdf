"""Loop-index embedding: a trained vector of the loop's number joins the state; loops beyond L_max take the last one."""

import numpy as np


def init(config, generator):
    return {"loop": np.zeros((config.model.max_loops, config.model.width))}


def loop_states(block, x, loops, extra):
    table = extra["loop"]
    for loop in range(loops):
        x = block(x + table[min(loop, len(table) - 1)])
        yield x
