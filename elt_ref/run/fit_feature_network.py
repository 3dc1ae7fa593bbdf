"""Train the feature network of a data set: ``python -m elt_ref.run.fit_feature_network digits``.

The weights go beside the data. On one machine and number of BLAS threads the fit is deterministic; it takes seconds.
The weights that ship were fitted on two threads.
"""

import math
import sys
from functools import partial
from pathlib import Path

import numpy as np
from safetensors.numpy import save

import tiny_datasets
from elt_ref.arrays import Array, Tree
from elt_ref.config import TrainingConfig
from elt_ref.errors import RequestError
from elt_ref.files import write_bytes
from elt_ref.measure import judge, load_feature_network
from elt_ref.measure.feature_network import FEATURES, FILE, HIDDEN, flatten
from elt_ref.ops import softmax_cross_entropy, value_and_gradient
from elt_ref.streams import stream
from elt_ref.training import adamw, zero_moments

TRAINING = TrainingConfig(steps=3000, batch_size=128, learning_rate=2e-3, weight_decay=1e-2, warmup_steps=100)
NOISE = 0.1
"""Standard deviation of the noise added to training pixels, so that the features are smooth."""


def fit_feature_network(dataset: tiny_datasets.PictureDataset, seed: int = 0) -> Tree:
    """Return the weights of a classifier of the data set's training pictures."""
    pictures = tiny_datasets.scaled(dataset.train.examples, dataset.white)
    labels = dataset.train.labels
    parameters = _initial(pictures[0].size, len(dataset.classes), seed)
    moments = zero_moments(parameters)
    for step in range(TRAINING.steps):
        generator = stream(seed, "feature_network", step)
        chosen = generator.integers(len(labels), size=TRAINING.batch_size)
        batch = pictures[chosen]
        noisy = batch + NOISE * generator.standard_normal(batch.shape).astype(np.float32)
        loss = partial(_loss, pictures=noisy, labels=labels[chosen])
        _, _, gradient = value_and_gradient(loss, parameters)
        parameters, moments = adamw(parameters, gradient, moments, step=step, training=TRAINING)
    return parameters


def _loss(parameters: Tree, *, pictures: np.ndarray, labels: np.ndarray) -> tuple[Array, None]:
    weights = np.full(len(labels), 1 / len(labels), np.float32)
    return softmax_cross_entropy(judge(parameters, pictures).logits, labels, weights), None


def _initial(pixels: int, classes: int, seed: int) -> Tree:
    def linear(name: str, inputs: int, outputs: int) -> Tree:
        normal = stream(seed, f"feature_network/{name}").standard_normal((inputs, outputs))
        return {"weight": (normal / math.sqrt(inputs)).astype(np.float32), "bias": np.zeros(outputs, np.float32)}

    return {
        "hidden": linear("hidden", pixels, HIDDEN),
        "features": linear("features", HIDDEN, FEATURES),
        "classes": linear("classes", FEATURES, classes),
    }


def accuracy(parameters: Tree, pictures: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of pictures whose most likely class is their label."""
    return float(np.mean(judge(parameters, pictures).logits.argmax(axis=1) == labels))


def feature_network(dataset: tiny_datasets.PictureDataset) -> Tree:
    """Return the data set's feature network; one that has none yet (imported pictures) gets it now."""
    path = tiny_datasets.dataset_folder(dataset.name) / FILE
    return load_feature_network(path) if path.exists() else fit_beside(dataset, path)


def fit_beside(dataset: tiny_datasets.PictureDataset, path: Path) -> Tree:
    """Fit the feature network and write it to `path`, atomically."""
    parameters = fit_feature_network(dataset)
    write_bytes(path, save(flatten(parameters)))
    return parameters


def main(name: str) -> None:
    """Fit, write and report the feature network of the data set `name`."""
    dataset = tiny_datasets.load(name)
    if not isinstance(dataset, tiny_datasets.PictureDataset):
        raise RequestError(f"{name}: expected a data set of pictures, got one of tokens")
    path = tiny_datasets.dataset_folder(name) / FILE
    parameters = fit_beside(dataset, path)
    for split in ("train", "test"):
        part = getattr(dataset, split)
        share = accuracy(parameters, tiny_datasets.scaled(part.examples, dataset.white), part.labels)
        print(f"{split} accuracy {share:.4f}")  # noqa: T201  the command's result
    print(path)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
