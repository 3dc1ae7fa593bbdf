"""From a configuration to training examples: load the data, learn or load the tokenizer, check that all fits."""

from pathlib import Path
from typing import NamedTuple

import tiny_datasets
from elt_ref.config import Config
from elt_ref.errors import RequestError
from elt_ref.streams import stream
from elt_ref.tokenizer import VectorQuantiser, cut_patches, fit_quantiser, load_quantiser
from elt_ref.training import Batch

TOKENIZER = "tokenizer.safetensors"


class Prepared(NamedTuple):
    """What a run learns from."""

    examples: Batch
    quantiser: VectorQuantiser | None
    """None where the data are tokens that came without a codebook."""
    reconstruction_error: float | None
    """Mean squared error of a test picture's pixel, in [0, 1]²; None where the data are tokens."""


def load_data(config: Config) -> tiny_datasets.PictureDataset | tiny_datasets.TokenDataset:
    """Load the configured data set.

    Raises:
        RequestError: the configuration names none, or one of latents, or another number of classes than it has.
        DatasetError: it cannot be loaded.
    """
    if config.data is None:
        raise RequestError(f"{config.name}: expected a [data] section to train on, got none (this preset only counts)")
    dataset = tiny_datasets.load(config.data.name)
    if isinstance(dataset, tiny_datasets.LatentDataset):
        raise RequestError(
            f"data.name: expected pictures or tokens for the masked family, got '{dataset.name}', which holds latents"
        )
    if len(dataset.classes) != config.model.classes:
        raise RequestError(
            f"model.classes: expected {len(dataset.classes)}, as many as data set '{dataset.name}' has, "
            f"got {config.model.classes}"
        )
    return dataset


def prepare(config: Config, folder: Path) -> Prepared:
    """Return the training examples; the tokenizer is that of `folder` where it holds one, and learned otherwise.

    Raises:
        RequestError: data, tokenizer and model do not fit one another.
        DatasetError: the data cannot be loaded.
    """
    dataset = load_data(config)
    if isinstance(dataset, tiny_datasets.TokenDataset):
        return _prepare_tokens(config, dataset)
    if config.tokenizer is None:
        raise RequestError(f"tokenizer: expected a [tokenizer] section for the pictures of '{dataset.name}', got none")
    pictures = tiny_datasets.scaled(dataset.train.examples, dataset.white)
    patch_size = config.tokenizer.patch_size
    _check_grid(config, cut_patches(pictures[:1], patch_size).shape[1:3])
    path = folder / TOKENIZER
    quantiser = (
        load_quantiser(path)
        if path.exists()
        else fit_quantiser(
            pictures,
            patch_size=patch_size,
            codebook_size=config.model.codebook_size,
            generator=stream(config.seed, "codebook"),
            iterations=config.tokenizer.iterations,
        )
    )
    tokens = quantiser.encode(pictures)
    test_pictures = tiny_datasets.scaled(dataset.test.examples, dataset.white)
    return Prepared(
        Batch(tokens.reshape(len(tokens), -1), dataset.train.labels),
        quantiser,
        quantiser.reconstruction_error(test_pictures),
    )


def _prepare_tokens(config: Config, dataset: tiny_datasets.TokenDataset) -> Prepared:
    if config.tokenizer is not None:
        raise RequestError(f"tokenizer: expected no [tokenizer] section, '{dataset.name}' holds tokens; got one")
    if dataset.codebook_size != config.model.codebook_size:
        raise RequestError(
            f"model.codebook_size: expected {dataset.codebook_size}, that of '{dataset.name}', "
            f"got {config.model.codebook_size}"
        )
    tokens = dataset.train.examples
    _check_grid(config, tokens.shape[1:])
    return Prepared(Batch(tokens.reshape(len(tokens), -1), dataset.train.labels), dataset_quantiser(dataset), None)


def dataset_quantiser(dataset: tiny_datasets.TokenDataset) -> VectorQuantiser | None:
    """Return the tokenizer that imported tokens came with, if they did."""
    if dataset.codebook is None or dataset.patch_size is None:
        return None
    return VectorQuantiser(dataset.codebook, dataset.patch_size)


def _check_grid(config: Config, grid: tuple[int, ...]) -> None:
    if grid != config.model.grid:
        raise RequestError(f"model.grid: expected {list(grid)}, that of the data, got {list(config.model.grid)}")
