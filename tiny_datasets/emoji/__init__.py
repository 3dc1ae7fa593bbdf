"""The shipped dataset `emoji`: Noto emoji in colour.

See SOURCE.md beside this file.
"""

from tiny_datasets.emoji.splits import NAME, draw_dataset

__all__ = ["NAME", "draw_dataset"]
