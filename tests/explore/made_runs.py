"""Runs of random parameters, and their page."""

from pathlib import Path

import numpy as np
from networks import random_parameters

import tiny_datasets
from elt_ref.config import validate
from elt_ref.explore.document import run_document
from elt_ref.explore.page import page_text
from elt_ref.run.folder import Run
from elt_ref.tokenizer import Pixels, VectorQuantiser

MASKED = {
    "layers": 2,
    "max_loops": 3,
    "width": 8,
    "heads": 2,
    "mlp_width": 12,
    "grid": [4, 4],
    "codebook_size": 12,
    "classes": 10,
}
DIFFUSION = {
    "family": "diffusion",
    "layers": 2,
    "max_loops": 3,
    "width": 8,
    "heads": 2,
    "mlp_width": 12,
    "shape": [8, 8, 1],
    "patch_size": 2,
    "time_features": 8,
    "classes": 10,
}
SCHEDULE = {"shift": 0.0, "bias": 0.0}


def made_run(name, data, model, *, dtype="float64", features=0, frames=1, seed=0, **sections):
    """A run of random parameters, far from their small initial values, and of random codes."""
    document = {"name": name, "data": {"name": data}, "model": model, "training": {"dtype": dtype}, **sections}
    if features:
        document["tokenizer"] = {"patch_size": 2, "patch_frames": frames}
    config = validate(document, where="test")
    codec = Pixels()
    if features:
        codes = np.random.default_rng(seed).random((model["codebook_size"], features), np.float32)
        codec = VectorQuantiser(codes, 2, frames)
    return Run(config, random_parameters(config, seed), codec, 3)


def made_runs():
    """Runs of both families, both dtypes, of pictures and clips, by name."""
    sampling = {"steps": 3}
    runs = [
        made_run("masked", "digits", MASKED, features=4, sampling=sampling),
        made_run("other", "digits", MASKED, features=4, seed=1, sampling=sampling),
        made_run(
            "elt temperatures",
            "digits",
            MASKED | {"unconditional_row": False},
            features=4,
            sampling={"steps": 4, "sampling_temperature": "elt", "schedule_precision": "float32"},
            objective={"label_drop_rate": 0.0},
        ),
        made_run("ramp", "digits", MASKED, features=4, sampling={"steps": 3, "guidance_schedule": "ramp"}),
        made_run("clips", "moving_digits", MASKED | {"grid": [2, 6, 6]}, features=8, frames=2, sampling=sampling),
        made_run("colours", "shapes", DIFFUSION | shape_of("shapes"), diffusion=SCHEDULE, sampling=sampling),
        made_run("diffusion", "digits", DIFFUSION, diffusion=SCHEDULE, sampling=sampling),
        made_run(
            "v", "digits", DIFFUSION, diffusion=SCHEDULE | {"prediction": "v", "sampler": "ddim"}, sampling=sampling
        ),
        made_run("single", "digits", DIFFUSION, dtype="float32", diffusion=SCHEDULE, sampling=sampling),
    ]
    return {run.config.name: run for run in runs}


def shape_of(name):
    dataset = tiny_datasets.load(name)
    return {"shape": list(dataset.train.examples.shape[1:]), "patch_size": 2, "classes": len(dataset.classes)}


def page_of(runs, path):
    path.write_text(page_text([run_document(name, Path(name), run) for name, run in runs.items()]), encoding="utf-8")
    return path
