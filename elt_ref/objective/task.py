"""What one training step asks of a network, in either family: its inputs, and how its predictions are judged."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, Shaped


class Batch(NamedTuple):
    """Examples and their classes: those of one step, or all there are."""

    examples: Shaped[np.ndarray, "batch ..."]
    """Tokens [batch, tokens], or samples [batch, height, width, channels]."""
    labels: Int[np.ndarray, " batch"]


class Task(NamedTuple):
    """A corrupted batch, and the two losses over it."""

    inputs: tuple[Any, ...]
    """Of the network (see `open_network`)."""
    ground_truth: Callable[[Any], Any]
    """L_GT of a prediction: E7 or E9."""
    distillation: Callable[[Any, Any], Any]
    """L_dist of student and teacher predictions: E8 or E10."""
