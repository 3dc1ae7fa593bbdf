"""The shipped dataset `moving_digits`: real digits that move in one of four directions, so that motion can be scored.

See SOURCE.md beside this file.
"""

from tiny_datasets.moving_digits.motions import DIRECTIONS, find_motions
from tiny_datasets.moving_digits.splits import NAME, draw_dataset

__all__ = ["DIRECTIONS", "NAME", "draw_dataset", "find_motions"]
