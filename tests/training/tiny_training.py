"""A training small enough to be run many times over."""

import numpy as np

from elt_ref.config import validate
from elt_ref.training import Batch

MODEL = {
    "layers": 1,
    "max_loops": 3,
    "width": 4,
    "heads": 2,
    "mlp_width": 4,
    "grid": [2, 2],
    "codebook_size": 5,
    "classes": 2,
}
TRAINING = {"steps": 5, "batch_size": 3, "warmup_steps": 2, "checkpoint_every": 2, "log_every": 2}


def tiny(seed=0, model=None, objective=None, **training):
    document = {
        "name": "tiny",
        "seed": seed,
        "model": {**MODEL, **(model or {})},
        "objective": objective or {},
        "training": {**TRAINING, **training},
    }
    return validate(document, where="test")


def examples(config, count=8):
    draw = np.random.default_rng(5)
    model = config.model
    tokens = draw.integers(0, model.codebook_size, (count, model.tokens))
    return Batch(tokens, draw.integers(0, model.classes, count))
