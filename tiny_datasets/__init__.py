"""Tiny datasets: handwritten digits that ship with the package, and importers for pictures and tokens of one's own."""

from tiny_datasets.catalogue import data_home, dataset_folder, load, names
from tiny_datasets.dataset import Dataset, PictureDataset, Split, TokenDataset, scaled
from tiny_datasets.errors import DatasetError
from tiny_datasets.pictures import import_pictures
from tiny_datasets.tokens import import_tokens

__all__ = [
    "Dataset",
    "DatasetError",
    "PictureDataset",
    "Split",
    "TokenDataset",
    "data_home",
    "dataset_folder",
    "import_pictures",
    "import_tokens",
    "load",
    "names",
    "scaled",
]
