"""Train the feature network of a data set: ``python -m elt_ref.run.fit_feature_network digits``.

The weights are written beside the data. On one machine and number of BLAS threads the fit is deterministic; it takes
seconds. The shipped weights were fitted on two threads, for clips on one.
"""

import argparse
import math
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
from safetensors.numpy import save

import tiny_datasets
from elt_ref.arrays import Array, Tree
from elt_ref.config import TrainingConfig
from elt_ref.errors import RequestError
from elt_ref.files import check_file, write_bytes
from elt_ref.measure import classify, load_feature_network
from elt_ref.measure.feature_network import FEATURES, FILE, HIDDEN, flatten, frames_and_pixels
from elt_ref.ops import softmax_cross_entropy, value_and_gradient
from elt_ref.schedules import learning_rate_at
from elt_ref.streams import stream
from elt_ref.terminal import print_text
from elt_ref.training import adamw, zero_moments

TRAINING = TrainingConfig(steps=3000, batch_size=128, learning_rate=2e-3, weight_decay=1e-2, warmup_steps=100)
NOISE = 0.1
"""Standard deviation of the noise added to training pixels, so that the features are smooth."""


VisualDataset: TypeAlias = tiny_datasets.PictureDataset | tiny_datasets.ClipDataset
"""Data sets that can have a feature network."""


def fit_feature_network(dataset: VisualDataset, seed: int = 0) -> Tree:
    """Return the weights of a classifier trained on a data set's pictures or clips, and on the motions of clips."""
    samples = tiny_datasets.scaled(dataset.train.examples, dataset.white)
    labels, motions = dataset.train.labels, _motions(dataset)
    parameters = _initial(samples, len(dataset.classes), len(motions.names) if motions else 0, seed)
    moments = zero_moments(parameters)
    for step in range(TRAINING.steps):
        generator = stream(seed, "feature_network", step)
        chosen = generator.integers(len(labels), size=TRAINING.batch_size)
        batch = samples[chosen]
        noisy = batch + NOISE * generator.standard_normal(batch.shape).astype(np.float32)
        moved = motions.train[chosen] if motions else None
        loss = partial(_loss, samples=noisy, labels=labels[chosen], motions=moved)
        _, _, gradient = value_and_gradient(loss, parameters)
        parameters, moments = adamw(
            parameters, gradient, moments, step=step, rate=learning_rate_at(step, TRAINING), training=TRAINING
        )
    return parameters


def _motions(dataset: VisualDataset) -> tiny_datasets.Motions | None:
    return dataset.motions if isinstance(dataset, tiny_datasets.ClipDataset) else None


def _loss(
    parameters: Tree, *, samples: np.ndarray, labels: np.ndarray, motions: np.ndarray | None
) -> tuple[Array, None]:
    weights = np.full(len(labels), 1 / len(labels), np.float32)
    classified = classify(parameters, samples)
    loss = softmax_cross_entropy(classified.logits, labels, weights)
    if motions is not None and classified.motion_logits is not None:
        loss = loss + softmax_cross_entropy(classified.motion_logits, motions, weights)
    return loss, None


def _initial(samples: np.ndarray, classes: int, motions: int, seed: int) -> Tree:
    frames, pixels = frames_and_pixels(samples)

    def linear(name: str, inputs: int, outputs: int) -> Tree:
        normal = stream(seed, f"feature_network/{name}").standard_normal((inputs, outputs))
        return {"weight": (normal / math.sqrt(inputs)).astype(np.float32), "bias": np.zeros(outputs, np.float32)}

    return {
        "hidden": linear("hidden", pixels, HIDDEN),
        "features": linear("features", frames * HIDDEN, FEATURES),
        "classes": linear("classes", FEATURES, classes),
        **({"motions": linear("motions", FEATURES, motions)} if motions else {}),
    }


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of samples whose most likely class (or motion) is their label."""
    return float(np.mean(logits.argmax(axis=1) == labels))


def feature_network(dataset: VisualDataset) -> Tree:
    """Return the data set's feature network; fit it first if there is none (imported pictures or clips).

    It is kept for the next time where the folder of the data can be written to.
    """
    path = tiny_datasets.dataset_folder(dataset.name) / FILE
    if path.exists():
        return load_feature_network(path)
    try:
        check_file(path)
    except RequestError:
        return fit_feature_network(dataset)
    return fit_beside(dataset, path)


def fit_beside(dataset: VisualDataset, path: Path) -> Tree:
    """Fit the feature network and write it to `path`, atomically."""
    parameters = fit_feature_network(dataset)
    write_bytes(path, save(flatten(parameters)))
    return parameters


def fit_and_report(name: str) -> None:
    """Fit, write and report the feature network of a data set.

    Raises:
        RequestError: the data set holds neither pictures nor clips, or the file cannot be written.
        DatasetError: there is no such data set.
    """
    dataset = tiny_datasets.load(name)
    if not isinstance(dataset, VisualDataset):
        raise RequestError(f"{name}: expected a data set of pictures or clips, got one of {dataset.kind}")
    path = tiny_datasets.dataset_folder(name) / FILE
    check_file(path)
    parameters = fit_beside(dataset, path)
    motions = _motions(dataset)
    for split in ("train", "test"):
        part = getattr(dataset, split)
        classified = classify(parameters, tiny_datasets.scaled(part.examples, dataset.white))
        print_text(f"{split} accuracy {accuracy(classified.logits, part.labels):.4f}")
        if motions is not None and classified.motion_logits is not None:
            share = accuracy(classified.motion_logits, getattr(motions, split))
            print_text(f"{split} motion accuracy {share:.4f}")
    print_text(str(path))


def main() -> None:
    """Fit the feature network of the data set that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m elt_ref.run.fit_feature_network")
    parser.add_argument("name", metavar="NAME", help="data set of pictures or clips")
    try:
        fit_and_report(parser.parse_args().name)
    except (RequestError, tiny_datasets.DatasetError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
