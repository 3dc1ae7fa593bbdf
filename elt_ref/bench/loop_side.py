"""Forward passes of a looped network, and of the unlooped network of the same depth with the same weights copied.

Both do the same arithmetic and give the same prediction; they differ only in where the weights come from.
"""

import numpy as np

from elt_ref.arrays import tree_map
from elt_ref.bench.inputs import parameters_of
from elt_ref.bench.job import Job, Repetition
from elt_ref.config import Experiment, MaskedExperiment
from elt_ref.errors import RequestError
from elt_ref.measure import count
from elt_ref.model import forward
from elt_ref.streams import stream

FLOPS_A_REPETITION = 2e9
MOST_PASSES = 50
"""Work of a repetition: small passes are repeated up to about this much, because the first finds the caches cold."""


def open_loop(job: Job) -> Repetition:
    """Return the repetition of the side ``elt_ref`` (N layers, L loops) or ``unlooped`` (N · L layers, one loop)."""
    config = job.network
    if not isinstance(config, MaskedExperiment):
        raise RequestError(f"loop side: expected a masked network, got one of the {config.model.family} family")
    model = config.model
    batch, loops = config.training.batch_size, model.max_loops
    parameters = parameters_of(config)
    if job.side == "unlooped":
        layers = [tree_map(np.copy, layer) for _ in range(loops) for layer in parameters["block"]]
        parameters, loops = {**parameters, "block": layers}, 1
    labels = np.zeros(batch, np.int64)
    tokens = stream(config.seed, "bench_batch").integers(model.codebook_size, size=(batch, model.tokens))
    passes = passes_a_repetition(config)

    def repeat(_index: int) -> np.ndarray:
        for _ in range(passes - 1):
            forward(parameters, config, tokens, labels, loops=loops)
        return forward(parameters, config, tokens, labels, loops=loops)

    return repeat


def passes_a_repetition(config: Experiment) -> int:
    """Return how many forward passes of the batch a repetition makes."""
    flops = config.training.batch_size * count(config).flops_per_forward
    return min(MOST_PASSES, max(1, round(FLOPS_A_REPETITION / flops)))
