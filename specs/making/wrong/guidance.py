"""Mistakes in classifier-free guidance."""

import numpy as np

from elt_ref.conformance.backend import Tensors
from specs.making.wrong.composed import ComposedBackend
from specs.making.wrong.decoding import Decoding


class RampFromUnconditional(Decoding, ComposedBackend):
    """The ramp is linspace(0, s, K), as in open-muse; its first step is unconditional."""

    def guidance_scales(self, *, scale, steps, schedule) -> Tensors:
        if schedule == "constant":
            return super().guidance_scales(scale=scale, steps=steps, schedule=schedule)
        return {"scales": np.linspace(0, scale, steps)}


class RampStopsShort(Decoding, ComposedBackend):
    """The ramp is 1 + (s − 1) k / K and does not reach s."""

    def guidance_scales(self, *, scale, steps, schedule) -> Tensors:
        if schedule == "constant":
            return super().guidance_scales(scale=scale, steps=steps, schedule=schedule)
        return {"scales": 1 + (scale - 1) * np.arange(steps) / steps}


class RampFalling(Decoding, ComposedBackend):
    """The ramp begins at s and ends conditional."""

    def guidance_scales(self, *, scale, steps, schedule) -> Tensors:
        scales = super().guidance_scales(scale=scale, steps=steps, schedule=schedule)
        return {"scales": scales["scales"][::-1]}


class RampOfOneStepFull(Decoding, ComposedBackend):
    """A ramp of one step is at its end: the only step has scale s."""

    def guidance_scales(self, *, scale, steps, schedule) -> Tensors:
        constant = schedule if steps > 1 else "constant"
        return super().guidance_scales(scale=scale, steps=steps, schedule=constant)


class RampIgnored(Decoding, ComposedBackend):
    """The schedule is always constant."""

    def guidance_scales(self, *, scale, steps, schedule) -> Tensors:  # noqa: ARG002
        return super().guidance_scales(scale=scale, steps=steps, schedule="constant")
