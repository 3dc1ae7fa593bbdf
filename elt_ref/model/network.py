"""A network is what comes before the loop, one layer of the block, and what comes after the loop.

    prediction = head(g_Θ(… g_Θ(embed(inputs))))

The two families share everything about loops. They differ in these functions only; an idea gives them others.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from elt_ref.arrays import Tree


class Embedded(NamedTuple):
    """Inputs that the network has read."""

    state: Any
    """State before the first loop, [batch, tokens, width]."""
    layers: list[Tree]
    """Trees that the N layers take: their parameters, and in the diffusion family their modulations."""
    head: Tree
    """Tree that the head takes."""


class Network(NamedTuple):
    """The functions of one family's network."""

    check: Callable[..., None]
    """``check(model, *inputs)`` raises RequestError unless the inputs fit the network."""
    embed: Callable[..., Embedded]
    """``embed(parameters, model, *inputs)``, before the loop."""
    layer: Callable[..., Any]
    """``layer(tree, x, heads=…, epsilon=…) -> x``, f_θ; in the masked family also ``rows=…``, to return only these."""
    head: Callable[..., Any]
    """``head(tree, model, x) -> prediction``, after the loop: the same one at every exit. In the masked family also
    ``wanted=…``, a mask of tokens: the predictions of others are zero, and x may hold the rows of these alone."""
    loop_states: Callable[..., Iterator[Any]]
    """``loop_states(block, x, loops, last=…)``, E4: yields the states after 1 … `loops` loops."""
