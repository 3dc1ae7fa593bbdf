"""A training small enough to be run many times over."""

import numpy as np

from elt_ref.config import validate
from elt_ref.objective import Batch, take_batch

MODEL = {"layers": 1, "max_loops": 3, "width": 4, "heads": 2, "mlp_width": 4, "classes": 2}
OF_THE_FAMILY = {
    "masked": {"grid": [2, 2], "codebook_size": 5},
    "masked, of clips": {"grid": [2, 2, 1], "codebook_size": 5},
    "diffusion": {"family": "diffusion", "shape": [4, 2, 3], "patch_size": 2, "time_features": 4},
    "drifting": {"family": "drifting", "shape": [4, 2, 3], "patch_size": 2},
}
FAMILIES = list(OF_THE_FAMILY)
TRAINING = {"steps": 5, "batch_size": 3, "warmup_steps": 2, "checkpoint_every": 2, "log_every": 2}


def tiny(seed=0, model=None, objective=None, family="masked", diffusion=None, **training):
    document = {
        "name": "tiny",
        "seed": seed,
        "model": {**MODEL, **OF_THE_FAMILY[family], **(model or {})},
        "objective": objective or {},
        "training": {**TRAINING, **training},
    }
    if family == "drifting":
        document["objective"] = {"label_drop_rate": 0.0, **(objective or {})}
        document["sampling"] = {"steps": 1}
        document["drifting"] = {"classes_per_step": 1, "positives": 3}
    if family == "diffusion":
        document["diffusion"] = {"shift": 0.5, "bias": 1.0, **(diffusion or {})}
    return validate(document, where="test")


def examples(config, count=8):
    draw = np.random.default_rng(5)
    model = config.model
    if config.model.family != "masked":
        learned = draw.standard_normal((count, *model.shape)).astype(config.training.dtype)
    else:
        learned = draw.integers(0, model.codebook_size, (count, model.tokens))
    return Batch(learned, draw.integers(0, model.classes, count))


def batch_of(config):
    """Return the first examples, or those of a step of drifting: a batch of the configured size."""
    known = examples(config)
    if config.model.family == "drifting":
        return take_batch(config, 0, known)
    return Batch(*(array[: config.training.batch_size] for array in known))
