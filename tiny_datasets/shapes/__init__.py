"""The shipped dataset `shapes`: a finite set of drawn pictures, so that a model's pictures are exactly right or wrong.

See SOURCE.md beside this file.
"""

from tiny_datasets.shapes.checker import WRONG_PIXELS, is_valid, nearest_member_distance
from tiny_datasets.shapes.drawing import CLASSES, PLACES, Place, draw, members
from tiny_datasets.shapes.generator import generate
from tiny_datasets.shapes.splits import NAME, draw_dataset

__all__ = [
    "CLASSES",
    "NAME",
    "PLACES",
    "WRONG_PIXELS",
    "Place",
    "draw",
    "draw_dataset",
    "generate",
    "is_valid",
    "members",
    "nearest_member_distance",
]
