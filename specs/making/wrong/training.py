"""Mistakes in training steps."""

from typing import Any

import numpy as np

from elt_ref.conformance.backend import Tensors
from elt_ref.conformance.reference import ReferenceBackend


class DrawsRepeated(ReferenceBackend):
    """Every training step uses the draws of the first, as if the generator were created in the step."""

    def masked_training(self, **arguments) -> Tensors:
        return super().masked_training(**_repeated(arguments, ("mask_ratio", "mask_order", "label_drop")))

    def diffusion_training(self, **arguments) -> Tensors:
        return super().diffusion_training(**_repeated(arguments, ("time", "noise", "label_drop")))


def _repeated(arguments: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return arguments | {name: np.repeat(arguments[name][:1], len(arguments[name]), axis=0) for name in names}
