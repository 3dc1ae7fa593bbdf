"""Mistakes in classifier-free guidance."""

import numpy as np

from elt_ref.conformance.backend import Tensors
from elt_ref.conformance.wrong.composed import ComposedBackend
from elt_ref.conformance.wrong.decoding import Decoding


class GuidanceBeyondConditional(Decoding, ComposedBackend):
    """Guidance is c + s (c − u), MAGVIT's form, but with s instead of its scale w = s − 1."""

    def guide(self, *, conditional: np.ndarray, unconditional: np.ndarray, scale: float) -> Tensors:
        return {"guided": conditional + scale * (conditional - unconditional)}


class GuidanceSwapped(Decoding, ComposedBackend):
    """The two halves of the batch are swapped: c + s (u − c)."""

    def guide(self, *, conditional: np.ndarray, unconditional: np.ndarray, scale: float) -> Tensors:
        return {"guided": conditional + scale * (unconditional - conditional)}


class GuidanceZeroConditional(Decoding, ComposedBackend):
    """A scale of 0 is falsy and turns guidance off: the prediction is conditional."""

    def guide(self, *, conditional: np.ndarray, unconditional: np.ndarray, scale: float) -> Tensors:
        return super().guide(conditional=conditional, unconditional=unconditional, scale=scale or 1.0)


class GuidanceOneUnconditional(Decoding, ComposedBackend):
    """A scale of 1 turns guidance off, and off drops the label."""

    def guide(self, *, conditional: np.ndarray, unconditional: np.ndarray, scale: float) -> Tensors:
        scale = 0.0 if scale == 1 else scale
        return super().guide(conditional=conditional, unconditional=unconditional, scale=scale)


class GuidanceOfFirstThree(Decoding, ComposedBackend):
    """Only the first three channels are guided; the rest stay conditional (DiT#41, PR#12, and code copied from it)."""

    def guide(self, *, conditional: np.ndarray, unconditional: np.ndarray, scale: float) -> Tensors:
        guided = unconditional + scale * (conditional - unconditional)
        return {"guided": np.concatenate([guided[..., :3], conditional[..., 3:]], axis=-1)}


class GuidanceRescaled(Decoding, ComposedBackend):
    """The guided prediction is rescaled to the deviation of the conditional one, as some samplers do by default."""

    def guide(self, *, conditional: np.ndarray, unconditional: np.ndarray, scale: float) -> Tensors:
        guided = unconditional + scale * (conditional - unconditional)
        return {"guided": guided * conditional.std() / guided.std()}


class RampFromUnconditional(Decoding, ComposedBackend):
    """The ramp is linspace(0, s, K), as in open-muse; its first step is unconditional."""

    def guidance_scales(self, *, scale: float, steps: int, schedule: str) -> Tensors:
        if schedule == "constant":
            return super().guidance_scales(scale=scale, steps=steps, schedule=schedule)
        return {"scales": np.linspace(0, scale, steps)}


class RampStopsShort(Decoding, ComposedBackend):
    """The ramp is 1 + (s − 1) k / K and does not reach s."""

    def guidance_scales(self, *, scale: float, steps: int, schedule: str) -> Tensors:
        if schedule == "constant":
            return super().guidance_scales(scale=scale, steps=steps, schedule=schedule)
        return {"scales": 1 + (scale - 1) * np.arange(steps) / steps}


class RampFalling(Decoding, ComposedBackend):
    """The ramp begins at s and ends conditional."""

    def guidance_scales(self, *, scale: float, steps: int, schedule: str) -> Tensors:
        scales = super().guidance_scales(scale=scale, steps=steps, schedule=schedule)
        return {"scales": scales["scales"][::-1]}


class RampOfOneStepFull(Decoding, ComposedBackend):
    """A ramp of one step is at its end: the only step has scale s."""

    def guidance_scales(self, *, scale: float, steps: int, schedule: str) -> Tensors:
        constant = schedule if steps > 1 else "constant"
        return super().guidance_scales(scale=scale, steps=steps, schedule=constant)


class RampIgnored(Decoding, ComposedBackend):
    """The schedule is always constant."""

    def guidance_scales(self, *, scale: float, steps: int, schedule: str) -> Tensors:  # noqa: ARG002
        return super().guidance_scales(scale=scale, steps=steps, schedule="constant")
