"""Class labels, which both families take: classes, and one more that means none."""

from typing import Any

import numpy as np

from elt_ref.config import DiffusionModelConfig, MaskedModelConfig
from elt_ref.errors import RequestError


def check_labels(labels: Any, batch: int, model: MaskedModelConfig | DiffusionModelConfig) -> None:
    """Raise RequestError unless `labels` are integers [batch] in 0 … classes − 1 or the unconditional class."""
    check_integers("labels", labels)
    if labels.shape != (batch,):
        raise RequestError(f"labels: expected shape [{batch}], got {list(labels.shape)}")
    highest = model.classes - 1 + int(model.unconditional_row)
    wrong = (labels < 0) | (labels > highest)
    if wrong.any():
        none = f" or {model.unconditional_class} for none" if model.unconditional_row else ""
        raise RequestError(
            f"labels: expected classes in 0…{model.classes - 1}{none}, got {labels[wrong][0]} "
            f"at position {int(np.argmax(wrong))}"
        )


def check_integers(what: str, array: Any) -> None:
    """Raise RequestError unless `array` is an array of integers."""
    if not isinstance(array, np.ndarray) or not np.issubdtype(array.dtype, np.integer):
        got = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise RequestError(f"{what}: expected an array of integers, got {got}")
