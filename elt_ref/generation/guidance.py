"""Classifier-free guidance: u + s (c − u).

s = 1 is conditional, s = 0 unconditional, both to the bit and at the price of one forward pass; any other s takes two.
Elsewhere the same is written c + w (c − u), with s = 1 + w.
"""

from typing import Any

from elt_ref.arrays import Array


def guide(conditional: Array, unconditional: Array, scale: float) -> Array:
    """Return ``unconditional + scale · (conditional − unconditional)``, for predictions of any shape."""
    return unconditional + scale * (conditional - unconditional)


def guidance_scale_at(step: int, steps: int, *, scale: float, schedule: str) -> float:
    """Return the scale of step `step` (0 … steps − 1).

    Args:
        step: index of the sampling step.
        steps: K.
        scale: s.
        schedule: ``"constant"``, or ``"ramp"``: s_k = 1 + (s − 1) k / (K − 1), whose first step is conditional, also
            where it is the only one (not the ramp of open-muse, which starts unconditional).
    """
    if schedule == "constant":
        return scale
    return 1 + (scale - 1) * step / max(1, steps - 1)


def branches(scale: float) -> tuple[bool, bool]:
    """Return whether the conditional and the unconditional branch are evaluated at this scale."""
    return scale != 0, scale != 1


def combine(predictions: list[Any], scale: float) -> Any:
    """Return the guided prediction from those of the evaluated `branches`, in their order."""
    return predictions[0] if len(predictions) == 1 else guide(predictions[0], predictions[1], scale)
