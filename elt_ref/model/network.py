"""A network is three parts: what comes before the loop, the block, and what comes after.

    prediction = head(g_Θ(… g_Θ(state)))

The families share everything that is said of loops; they differ in these three parts only.
"""

from collections.abc import Callable
from typing import Any, NamedTuple


class Network(NamedTuple):
    """A network that has read its inputs."""

    state: Any
    """[batch, tokens, width] before the first loop."""
    block: Callable[[Any], Any]
    """g_Θ, from state to state."""
    head: Callable[[Any], Any]
    """From state to prediction: one and the same for every loop, outside of the loop."""
