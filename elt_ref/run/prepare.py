"""From a configuration to training examples: load the data, learn or load the codec, check that they fit."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

import tiny_datasets
from elt_ref.config import DriftingExperiment, Experiment, MaskedExperiment
from elt_ref.errors import RequestError
from elt_ref.objective import Batch
from elt_ref.run.record import data_digest
from elt_ref.streams import stream
from elt_ref.tokenizer import (
    Codec,
    Pixels,
    VectorQuantiser,
    cut_patches,
    fit_linear_autoencoder,
    fit_quantiser,
    load_linear_autoencoder,
    load_quantiser,
    patch_sides,
)

CODEC = "tokenizer.safetensors"
"""File of the learned codec: a codebook, or the components of an autoencoder."""

KINDS = {
    "masked": ("pictures", "clips", "tokens"),
    "diffusion": ("pictures", "latents"),
    "drifting": ("pictures", "latents"),
}
"""Kinds of data that each family can learn."""


class Prepared(NamedTuple):
    """The training data of a run."""

    examples: Batch
    codec: Codec | None
    """None for imported tokens or latents without a way back to pictures or clips."""
    reconstruction_error: float | None
    """Mean squared error of a test pixel, in [0, 1]²; None if the data are neither pictures nor clips."""
    data: str
    """Digest of the data set."""


def load_data(config: Experiment) -> tiny_datasets.Dataset:
    """Load the configured data set.

    Raises:
        RequestError: the configuration names no data set, or one whose kind or number of classes the model cannot use.
        DatasetError: the data set cannot be loaded.
    """
    if config.data is None:
        raise RequestError(f"{config.name}: expected a [data] section to train on, got none (this preset only counts)")
    dataset = tiny_datasets.load(config.data.name)
    kinds = KINDS[config.model.family]
    if dataset.kind not in kinds:
        raise RequestError(
            f"data.name: expected {', '.join(kinds[:-1])} or {kinds[-1]} for the {config.model.family} family, "
            f"got '{dataset.name}', which holds {dataset.kind}"
        )
    if len(dataset.classes) != config.model.classes:
        raise RequestError(
            f"model.classes: expected {len(dataset.classes)}, as many as data set '{dataset.name}' has, "
            f"got {config.model.classes}"
        )
    if isinstance(config, DriftingExperiment):
        _check_classes(config, dataset)
    return dataset


def _check_classes(config: DriftingExperiment, dataset: tiny_datasets.Dataset) -> None:
    """Raise RequestError unless the classes that have training examples are enough, and have enough of them."""
    examples = np.bincount(dataset.train.labels)
    asked = config.drifting
    if asked.classes_per_step > np.count_nonzero(examples):
        raise RequestError(
            f"drifting.classes_per_step: expected at most {np.count_nonzero(examples)}, the classes of "
            f"'{dataset.name}' with training examples, got {asked.classes_per_step}"
        )
    smallest = int(examples[examples > 0].min())
    if asked.positives > smallest:
        raise RequestError(
            f"drifting.positives: expected at most {smallest}, the training examples of the smallest class of "
            f"'{dataset.name}', got {asked.positives}"
        )


def prepare(config: Experiment, folder: Path) -> Prepared:
    """Return the training examples; the codec comes from `folder` if it holds one, and is learned otherwise.

    Raises:
        RequestError: data, codec and model do not fit one another.
        DatasetError: the data cannot be loaded.
    """
    dataset = load_data(config)
    digest = data_digest(dataset)
    if isinstance(dataset, tiny_datasets.PictureDataset | tiny_datasets.ClipDataset):
        pictures = tiny_datasets.scaled(dataset.train.examples, dataset.white)
        stored = open_codec(config, dataset, folder) if (folder / CODEC).exists() else None
        codec = stored or _fit_codec(config, pictures)
        examples = codec.encode(pictures)
        test_pictures = tiny_datasets.scaled(dataset.test.examples, dataset.white)
        error = codec.reconstruction_error(test_pictures)
    else:
        examples = imported_examples(config, dataset)
        codec, error = open_codec(config, dataset, folder), None
    if not isinstance(config, MaskedExperiment):
        _check_shape("model.shape", examples.shape[1:], config.model.shape)
        return Prepared(Batch(examples.astype(config.training.dtype), dataset.train.labels), codec, error, digest)
    _check_shape("model.grid", examples.shape[1:], config.model.grid)
    return Prepared(Batch(examples.reshape(len(examples), -1), dataset.train.labels), codec, error, digest)


def imported_examples(config: Experiment, dataset: tiny_datasets.Dataset) -> np.ndarray:
    """Return imported tokens or scaled latents.

    Raises:
        RequestError: a section configures a codec of pictures, or the codebooks differ in size.
    """
    for section in ("tokenizer", "latents"):
        if getattr(config, section) is not None:
            raise RequestError(
                f"{section}: expected no [{section}] section, because '{dataset.name}' holds {dataset.kind}"
            )
    if isinstance(dataset, tiny_datasets.LatentDataset):
        return dataset.train.examples * np.float32(dataset.scale)
    if (
        isinstance(config, MaskedExperiment)
        and isinstance(dataset, tiny_datasets.TokenDataset)
        and dataset.codebook_size != config.model.codebook_size
    ):
        raise RequestError(
            f"model.codebook_size: expected {dataset.codebook_size} as in '{dataset.name}', "
            f"got {config.model.codebook_size}"
        )
    return dataset.train.examples


def _fit_codec(config: Experiment, pictures: np.ndarray) -> Codec:
    if not isinstance(config, MaskedExperiment):
        if config.latents is None:
            return Pixels()
        return fit_linear_autoencoder(pictures, patch_size=config.latents.patch_size, channels=config.latents.channels)
    if config.tokenizer is None:
        name = config.data.name if config.data else config.name
        raise RequestError(f"tokenizer: expected a [tokenizer] section for the pictures of '{name}', got none")
    patch_size, patch_frames = config.tokenizer.patch_size, config.tokenizer.patch_frames
    sides = patch_sides(pictures, patch_frames=patch_frames, patch_size=patch_size)
    _check_shape("model.grid", cut_patches(pictures[:1], sides).shape[1:-1], config.model.grid)
    return fit_quantiser(
        pictures,
        patch_size=patch_size,
        patch_frames=patch_frames,
        codebook_size=config.model.codebook_size,
        generator=stream(config.seed, "codebook"),
        iterations=config.tokenizer.iterations,
    )


def open_codec(config: Experiment, dataset: tiny_datasets.Dataset, folder: Path) -> Codec | None:
    """Return the codec of a run with a complete folder.

    Raises:
        RequestError: the codec's file is missing or damaged.
    """
    if config.tokenizer is not None:
        return load_quantiser(folder / CODEC)
    if config.latents is not None:
        return load_linear_autoencoder(folder / CODEC)
    if isinstance(dataset, tiny_datasets.TokenDataset):
        return dataset_codec(dataset)
    return Pixels() if isinstance(dataset, tiny_datasets.PictureDataset) else None


def dataset_codec(dataset: tiny_datasets.Dataset) -> VectorQuantiser | None:
    """Return the tokenizer of imported tokens, if they have one."""
    if not isinstance(dataset, tiny_datasets.TokenDataset) or dataset.codebook is None or dataset.patch_size is None:
        return None
    return VectorQuantiser(dataset.codebook, dataset.patch_size, dataset.patch_frames)


def _check_shape(where: str, actual: tuple[int, ...], configured: tuple[int, ...]) -> None:
    if actual != configured:
        raise RequestError(f"{where}: expected {list(actual)} as in the data, got {list(configured)}")
