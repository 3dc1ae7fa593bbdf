"""Nested lists, the arrays of this oracle."""

from collections.abc import Callable, Sequence
from typing import Any


def nested(function: Callable[..., Any], *trees: list) -> list:
    """Apply `function` to corresponding numbers of nested lists with the same nesting."""
    if isinstance(trees[0][0], list):
        return [nested(function, *children) for children in zip(*trees, strict=True)]
    return [function(*numbers) for numbers in zip(*trees, strict=True)]


def flat(tree: Any) -> list:
    """Return the numbers of nested lists in C order."""
    return [number for child in tree for number in flat(child)] if isinstance(tree, list) else [tree]


def shaped(values: list, shape: Sequence[int]) -> list:
    """Return a flat list as nested lists with this shape, in C order."""
    if len(shape) == 1:
        return values
    size = len(values) // shape[0]
    return [shaped(values[place : place + size], shape[1:]) for place in range(0, len(values), size)]
