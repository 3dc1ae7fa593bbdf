"""Inception score: exp of the mean divergence between each sample's class prediction and the average prediction.

    IS = exp(E_x KL(p(y | x) ‖ p(y)))

The score is 1 if all predictions are the same, and the number of classes if they are sharp and even. As in
torch-fidelity: float64, a mean over splits, of which split i has the rows ⌊i N / splits⌋ … ⌊(i + 1) N / splits⌋ − 1. A
split is a run of neighbouring samples, so the caller must mix the classes; `elt_ref.run.evaluate` samples them in turn.
"""

from itertools import pairwise

import numpy as np
from jaxtyping import Float

from elt_ref.errors import RequestError
from elt_ref.ops import log_softmax


def inception_score(logits: Float[np.ndarray, "count classes"], splits: int = 10) -> float:
    """Return the mean score over `splits` parts, as equal as they can be.

    Args:
        logits: logits of a classifier.
        splits: number of parts, each of neighbouring samples.

    Raises:
        RequestError: fewer samples than splits.
    """
    if len(logits) < splits:
        raise RequestError(f"inception score: expected at least {splits} samples, one a split, got {len(logits)}")
    log_given = log_softmax(logits.astype(np.float64))
    edges = np.arange(splits + 1) * len(logits) // splits
    scores = []
    for first, end in pairwise(edges):
        part = log_given[first:end]
        given = np.exp(part)
        average = given.mean(axis=0)
        divergence = (given * (part - np.log(np.maximum(average, np.finfo(np.float64).tiny)))).sum(axis=1)
        scores.append(np.exp(divergence.mean()))
    return float(np.mean(scores))
