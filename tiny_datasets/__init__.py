"""Tiny datasets that ship with the package, and importers for your own pictures, clips, tokens or latents."""

from tiny_datasets.catalogue import data_home, dataset_folder, load, names
from tiny_datasets.cifar import import_cifar
from tiny_datasets.clips import import_clips
from tiny_datasets.dataset import (
    ClipDataset,
    Dataset,
    LatentDataset,
    Motions,
    PictureDataset,
    Split,
    TokenDataset,
    scaled,
)
from tiny_datasets.errors import DatasetError
from tiny_datasets.idx import import_idx
from tiny_datasets.latents import import_latents
from tiny_datasets.npz import import_npz
from tiny_datasets.pictures import import_pictures
from tiny_datasets.tokens import import_tokens

__all__ = [
    "ClipDataset",
    "Dataset",
    "DatasetError",
    "LatentDataset",
    "Motions",
    "PictureDataset",
    "Split",
    "TokenDataset",
    "data_home",
    "dataset_folder",
    "import_cifar",
    "import_clips",
    "import_idx",
    "import_latents",
    "import_npz",
    "import_pictures",
    "import_tokens",
    "load",
    "names",
    "scaled",
]
