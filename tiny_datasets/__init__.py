"""Tiny datasets: digits, photos and shapes that ship with the package, and importers for one's own.

One's own may be pictures, tokens or latents.
"""

from tiny_datasets.catalogue import data_home, dataset_folder, load, names
from tiny_datasets.dataset import Dataset, LatentDataset, PictureDataset, Split, TokenDataset, scaled
from tiny_datasets.errors import DatasetError
from tiny_datasets.latents import import_latents
from tiny_datasets.pictures import import_pictures
from tiny_datasets.tokens import import_tokens

__all__ = [
    "Dataset",
    "DatasetError",
    "LatentDataset",
    "PictureDataset",
    "Split",
    "TokenDataset",
    "data_home",
    "dataset_folder",
    "import_latents",
    "import_pictures",
    "import_tokens",
    "load",
    "names",
    "scaled",
]
