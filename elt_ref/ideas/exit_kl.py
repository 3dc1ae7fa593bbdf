"""Exits by KL between loops: a sample leaves where the mean KL(after ‖ before) of its unknown tokens is low enough."""

import numpy as np

from elt_ref.ops import log_softmax

FAMILY = "masked"


def early_exit(predictions, unknown):
    if len(predictions) < 2:
        return np.full(len(unknown), np.inf)
    before, after = log_softmax(predictions[-2]), log_softmax(predictions[-1])
    divergence = (np.exp(after) * (after - before)).sum(axis=-1)
    return (divergence * unknown).sum(axis=1) / np.maximum(1, unknown.sum(axis=1))
