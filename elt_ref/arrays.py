"""The Array type with named dimensions, trees of parameters, and the dtype policy.

Every signature of the package states its shapes with jaxtyping, for example ``Float[Array, "batch tokens width"]``.
The tests enforce them (with beartype); at run time they cost nothing.

The dtype policy: float64 to judge, float32 to train, and no operation widens silently.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
from autograd.numpy.numpy_boxes import ArrayBox

if TYPE_CHECKING:
    Array: TypeAlias = np.ndarray
else:
    # Autograd boxes arrays while it differentiates; for readers and the type checker a box is an array.
    Array = Union[np.ndarray, ArrayBox]

Tree: TypeAlias = Any
"""A nested structure of dicts and lists with arrays at its leaves; the parameters of a network are one."""

DTYPES = {"float32": np.float32, "float64": np.float64}


def tree_items(tree: Tree, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield ``(dotted name, leaf)`` in a fixed order: list order, and dict insertion order.

    The dotted names are the tensor names of every safetensors file: ``block.0.attention.query_key_value.weight``.
    """
    if isinstance(tree, Mapping):
        children = tree.items()
    elif isinstance(tree, list):
        children = enumerate(tree)
    else:
        yield prefix.removesuffix("."), tree
        return
    for key, child in children:
        yield from tree_items(child, f"{prefix}{key}.")


def tree_leaves(tree: Tree) -> list[Any]:
    """Return the leaves in the order of `tree_items`."""
    return [leaf for _, leaf in tree_items(tree)]


def tree_rebuild(like: Tree, leaves: list[Any]) -> Tree:
    """Return a tree with the structure of `like` and these leaves, in the order of `tree_items`."""
    supply = iter(leaves)

    def build(node: Tree) -> Tree:
        if isinstance(node, Mapping):
            return {key: build(child) for key, child in node.items()}
        if isinstance(node, list):
            return [build(child) for child in node]
        return next(supply)

    return build(like)


def tree_map(function: Callable[..., Any], tree: Tree, *others: Tree) -> Tree:
    """Apply `function` to corresponding leaves of trees with the same structure."""
    return tree_rebuild(tree, [function(*leaves) for leaves in zip(*map(tree_leaves, (tree, *others)), strict=True)])
