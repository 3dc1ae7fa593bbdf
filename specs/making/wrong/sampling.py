"""Mistakes in guidance of the diffusion family, and in whole sampling runs."""

from typing import Any

import numpy as np

from elt_ref.conformance.backend import Tensors
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.generation.diffusion_sampler import predict_clean
from elt_ref.generation.guidance import guide
from specs.making.wrong.altered import Altered, instead


def _clipped_first(*args: Any, guidance_scale: float, **settings: Any) -> Any:
    config = args[1]
    clip = config.diffusion.clip
    if clip is None:
        return predict_clean(*args, guidance_scale=guidance_scale, **settings)
    conditional, used = predict_clean(*args, guidance_scale=1.0, **settings)
    unconditional, _ = predict_clean(*args, guidance_scale=0.0, **settings)
    return guide(np.clip(conditional, -clip, clip), np.clip(unconditional, -clip, clip), guidance_scale), used


class ClipsBeforeGuiding(Altered, ReferenceBackend):
    """Both branches are clipped before guidance, as in code that clips in the model's wrapper."""

    changes = instead("generation.diffusion_sampler", predict_clean=_clipped_first)


class LoopsOfFirstStep(ReferenceBackend):
    """Every sampling step takes the first step's number of loops."""

    def diffusion_sample(self, *, loops, **arguments) -> Tensors:
        return super().diffusion_sample(loops=[loops[0]] * len(loops), **arguments)

    def masked_sample(self, *, loops, **arguments) -> Tensors:
        return super().masked_sample(loops=[loops[0]] * len(loops), **arguments)


class LoopsReversed(ReferenceBackend):
    """The loop schedule is read from its end, as if indexed by t instead of by the step."""

    def diffusion_sample(self, *, loops, **arguments) -> Tensors:
        return super().diffusion_sample(loops=loops[::-1], **arguments)

    def masked_sample(self, *, loops, **arguments) -> Tensors:
        return super().masked_sample(loops=loops[::-1], **arguments)
