"""The shipped dataset `bouncing_digits`: real digits that start anywhere and bounce off the walls of the frame.

See SOURCE.md beside this file.
"""

from tiny_datasets.bouncing_digits.motions import DIRECTIONS, find_motions
from tiny_datasets.bouncing_digits.splits import NAME, draw_dataset

__all__ = ["DIRECTIONS", "NAME", "draw_dataset", "find_motions"]
