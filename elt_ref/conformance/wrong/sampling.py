"""Mistakes in guidance of the diffusion family, and in whole sampling runs."""

from typing import Any

import numpy as np

from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.conformance.wrong.diffusion_parts import Altered, instead
from elt_ref.generation.diffusion_sampler import predict_clean
from elt_ref.generation.guidance import guide


def _three_channels(conditional: Any, unconditional: Any, scale: float) -> Any:
    guided = guide(conditional, unconditional, scale)
    if np.ndim(guided) != 4:
        return guided
    return np.concatenate([guided[..., :3], conditional[..., 3:]], axis=-1)


class GuidesThreeChannels(Altered, ReferenceBackend):
    """Only the first three channels are guided: DiT #41, PR#12, copied into SiT, MDT, PixArt and others."""

    changes = instead("generation.guidance", guide=_three_channels)


class DiffusionGuidanceTooStrong(ReferenceBackend):
    """The scale is used as the w of (1 + w) c − w u, as in hackable_diffusion."""

    def diffusion_sample(self, *, sampling: Any, **arguments: Any) -> Any:
        stronger = {**sampling, "guidance_scale": sampling["guidance_scale"] + 1}
        return super().diffusion_sample(sampling=stronger, **arguments)


class NullClassHardCoded(ReferenceBackend):
    """The null class is a fixed row of the label table, whatever its size: diffusers #13616."""

    def diffusion_sample(self, *, parameters: Any, **arguments: Any) -> Any:
        table = np.array(parameters["embedding.label"])
        table[-1] = table[1]
        return super().diffusion_sample(parameters={**parameters, "embedding.label": table}, **arguments)


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


class LoopsOfTraining(ReferenceBackend):
    """Every sampling step takes L_max loops, whatever the schedule."""

    def diffusion_sample(self, *, model: Any, loops: Any, **arguments: Any) -> Any:
        return super().diffusion_sample(model=model, loops=[model["max_loops"]] * len(loops), **arguments)

    def masked_sample(self, *, model: Any, loops: Any, **arguments: Any) -> Any:
        return super().masked_sample(model=model, loops=[model["max_loops"]] * len(loops), **arguments)


class LoopsOfFirstStep(ReferenceBackend):
    """Every sampling step takes the first step's number of loops."""

    def diffusion_sample(self, *, loops: Any, **arguments: Any) -> Any:
        return super().diffusion_sample(loops=[loops[0]] * len(loops), **arguments)

    def masked_sample(self, *, loops: Any, **arguments: Any) -> Any:
        return super().masked_sample(loops=[loops[0]] * len(loops), **arguments)


class LoopsReversed(ReferenceBackend):
    """The loop schedule is read from its end, as if indexed by t instead of by the step."""

    def diffusion_sample(self, *, loops: Any, **arguments: Any) -> Any:
        return super().diffusion_sample(loops=loops[::-1], **arguments)

    def masked_sample(self, *, loops: Any, **arguments: Any) -> Any:
        return super().masked_sample(loops=loops[::-1], **arguments)


class StepNoiseRepeated(ReferenceBackend):
    """Every sampling step uses the first step's noise, as if the generator were seeded again."""

    def diffusion_sample(self, *, step_noise: Any, **arguments: Any) -> Any:
        return super().diffusion_sample(step_noise=np.repeat(step_noise[:1], len(step_noise), axis=0), **arguments)

    def masked_sample(self, *, token_noise: Any, confidence_noise: Any, **arguments: Any) -> Any:
        repeated = (np.repeat(noise[:1], len(noise), axis=0) for noise in (token_noise, confidence_noise))
        return super().masked_sample(
            **dict(zip(("token_noise", "confidence_noise"), repeated, strict=True)), **arguments
        )


def _late_time(parameters: Any, config: Any, noisy: Any, time: float, labels: Any, **settings: Any) -> Any:
    return predict_clean(parameters, config, noisy, time - 1 / config.sampling.steps, labels, **settings)


class NetworkToldNextTime(Altered, ReferenceBackend):
    """The network receives the time that the step leads to: shifted timesteps, diffusers #11347, #12633."""

    changes = instead("generation.diffusion_sampler", predict_clean=_late_time)


class SamplesUnguided(ReferenceBackend):
    """The guidance scale is accepted and ignored, as in the unofficial port of ELT."""

    def diffusion_sample(self, *, sampling: Any, **arguments: Any) -> Any:
        return super().diffusion_sample(sampling={**sampling, "guidance_scale": 1.0}, **arguments)

    def masked_sample(self, *, sampling: Any, **arguments: Any) -> Any:
        return super().masked_sample(sampling={**sampling, "guidance_scale": 1.0}, **arguments)
