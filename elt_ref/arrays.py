"""The Array type with named dimensions, trees of parameters, the dtype policy, pieces of samples, checks of input.

Every signature of the package states its shapes with jaxtyping, for example ``Float[Array, "batch tokens width"]``.
The tests enforce them (with beartype); at run time they cost nothing.

The dtype policy: float64 to judge, float32 to train, and no operation widens silently.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
from autograd.numpy.numpy_boxes import ArrayBox
from jaxtyping import Bool, Int, Shaped

from elt_ref.errors import RequestError

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
    return _build(like, iter(leaves))


def _build(node: Tree, supply: Iterator[Any]) -> Tree:
    if isinstance(node, Mapping):
        return {key: _build(child, supply) for key, child in node.items()}
    if isinstance(node, list):
        return [_build(child, supply) for child in node]
    return next(supply)


def tree_map(function: Callable[..., Any], tree: Tree, *others: Tree) -> Tree:
    """Apply `function` to corresponding leaves of trees with the same structure."""
    return tree_rebuild(tree, [function(*leaves) for leaves in zip(*map(tree_leaves, (tree, *others)), strict=True)])


def tree_flat(tree: Tree) -> Shaped[np.ndarray, " numbers"]:
    """Return a new array of all numbers of a tree, leaf after leaf."""
    return np.concatenate([leaf.reshape(-1) for leaf in tree_leaves(tree)])


def tree_unflat(like: Tree, numbers: Shaped[np.ndarray, " numbers"]) -> Tree:
    """Return a tree with the structure and shapes of `like`, whose leaves are views of `numbers`."""
    leaves, end = [], 0
    for leaf in tree_leaves(like):
        start, end = end, end + leaf.size
        leaves.append(numbers[start:end].reshape(leaf.shape))
    return tree_rebuild(like, leaves)


def lowest(
    scores: Shaped[np.ndarray, "batch tokens"], count: Int[np.ndarray, " batch"]
) -> Bool[np.ndarray, "batch tokens"]:
    """Mark the `count` lowest scores of each row, exactly; among equal scores the first."""
    ranks = np.argsort(np.argsort(scores, axis=1, kind="stable"), axis=1)
    return ranks < count[:, None]


def check_integers(
    what: str, array: Any, shape: tuple[int | str, ...], *, below: int, also: int | None = None, expected: str
) -> None:
    """Raise RequestError unless `array` holds integers 0 … below − 1, or `also`, in this shape.

    Args:
        what: name of the array; the sentence begins with it.
        array: anything.
        shape: sizes; a word stands for any size.
        below: upper end, not included.
        also: one more allowed value.
        expected: allowed values in words.
    """
    if not isinstance(array, np.ndarray) or not np.issubdtype(array.dtype, np.integer):
        got = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise RequestError(f"{what}: expected an array of integers, got {got}")
    if array.ndim != len(shape) or any(
        isinstance(size, int) and size != real for size, real in zip(shape, array.shape, strict=True)
    ):
        raise RequestError(f"{what}: expected shape [{', '.join(map(str, shape))}], got {list(array.shape)}")
    wrong = (array < 0) | (array >= below)
    if also is not None:
        wrong &= array != also
    if wrong.any():
        first = [int(index) for index in np.argwhere(wrong)[0]]
        place = f"position {first[0]}" if len(first) == 1 else f"{first}"
        raise RequestError(f"{what}: expected {expected}, got {array[wrong][0]} at {place}")


def cut(samples: Any, sizes: Sequence[int]) -> Any:
    """Split every side of samples into places × size, the places in front.

    Args:
        samples: [batch, *sides, channels].
        sizes: sizes of a piece, one for each side; each divides its side.

    Returns:
        Pieces [batch, *grid, *sizes, channels].
    """
    batch, *sides, channels = samples.shape
    split = [part for side, size in zip(sides, sizes, strict=True) for part in (side // size, size)]
    axes = len(sides)
    order = (0, *range(1, 2 * axes, 2), *range(2, 2 * axes + 1, 2), 2 * axes + 1)
    return samples.reshape((batch, *split, channels)).transpose(order)


def join(pieces: Any) -> Any:
    """Put pieces [batch, *grid, *sizes, channels] back together: the inverse of `cut`."""
    batch, *parts, channels = pieces.shape
    axes = len(parts) // 2
    order = (0, *(axis for place in range(1, axes + 1) for axis in (place, place + axes)), 2 * axes + 1)
    sides = [places * size for places, size in zip(parts[:axes], parts[axes:], strict=True)]
    return pieces.transpose(order).reshape((batch, *sides, channels))


MOST_LOOPS = 1_000_000
"""Largest L: more is a slip, and would run for days."""


def check_loops(loops: Any, where: str = "loops") -> int:
    """Return `loops` if it is an integer from 1 to `MOST_LOOPS`.

    Raises:
        RequestError: it is another; the sentence begins with `where`.
    """
    if isinstance(loops, bool) or not isinstance(loops, Integral) or loops < 1:
        raise RequestError(f"{where}: expected an integer of at least 1, got {loops!r}")
    number = int(loops)
    if number > MOST_LOOPS:
        raise RequestError(f"{where}: expected at most {MOST_LOOPS:,}, got {number:,}")
    return number
