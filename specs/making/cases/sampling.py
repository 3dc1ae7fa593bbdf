"""DIFFGUIDE and SAMPLE: guidance of the diffusion family, and whole samplings."""

from typing import Any

import numpy as np

from specs.making.case import Case
from specs.making.cases.material import (
    diffusion_section,
    gumbel,
    integers,
    masked_section,
    noise_section,
    normal,
    parameters,
    sampling_section,
)


def denoised(
    clause: str,
    slug: str,
    why: str,
    loops: tuple[int, ...],
    *,
    labels: tuple[int, ...] = (2, 0),
    scale: float = 3.0,
    schedule: str = "constant",
    **noise: Any,
) -> Case:
    """Return a case of a whole diffusion sampling."""
    # The times are the sampler's own: at a small scale a last bit of them stays one.
    model, name = diffusion_section(layers=1, shape=[2, 4, 4], time_scale=10.0), f"{clause}/{slug}"
    shape = (len(labels), *model["shape"])
    return Case(
        clause,
        slug,
        "diffusion_sample",
        why,
        {
            "model": model,
            "diffusion": noise_section(**noise),
            "sampling": sampling_section(guidance_scale=scale, guidance_schedule=schedule),
            "loops": list(loops),
        },
        {
            **parameters(model, name),
            "labels": np.array(labels),
            "initial_noise": normal(f"{name}/initial", *shape),
            "step_noise": normal(f"{name}/steps", len(loops), *shape),
        },
    )


def decoded(slug: str, why: str, loops: tuple[int, ...], *, known: int = 0, complete: int = 0, **sampling: Any) -> Case:
    """Return a case of a whole masked sampling, some tokens of each row known at the start, and all of some rows."""
    model, name, batch = masked_section(codebook_size=11, grid=[3, 4]), f"SAMPLE-02/{slug}", 2
    tokens = np.full((batch, 12), 11 + model["classes"] + 1)
    tokens[:, :known] = integers(f"{name}/tokens", 11, batch, known)
    tokens[:complete] = integers(f"{name}/complete", 11, complete, 12)
    return Case(
        "SAMPLE-02",
        slug,
        "masked_sample",
        why,
        {"model": model, "sampling": sampling_section(**sampling), "loops": list(loops)},
        {
            **parameters(model, name, spread=2.0),
            "tokens": tokens,
            "labels": integers(f"{name}/labels", model["classes"], batch),
            "token_noise": gumbel(f"{name}/token_noise", len(loops), batch, 12, 11),
            "confidence_noise": gumbel(f"{name}/confidence_noise", len(loops), batch, 12),
        },
    )


CASES = (
    denoised("DIFFGUIDE-01", "scale-three", "s = 3: all four channels, the last row for no class", (2, 2)),
    denoised("DIFFGUIDE-01", "unconditional", "s = 0: the label does not matter, the null row does", (1, 2), scale=0.0),
    denoised("DIFFGUIDE-01", "conditional", "s = 1: the null row does not matter", (2, 1), scale=1.0),
    denoised(
        "DIFFGUIDE-01",
        "ramp-v",
        "a ramp whose first step is conditional, of a network that predicts v",
        (1, 1, 1),
        scale=2.5,
        schedule="ramp",
        prediction="v",
    ),
    denoised("DIFFGUIDE-01", "clip", "s = 3 and a clip that bites: guided first, then clipped", (2, 1), clip=0.5),
    denoised(
        "DIFFGUIDE-01",
        "clip-one-step",
        "a single step, s = 2, a clip that bites in DDIM",
        (2,),
        scale=2.0,
        clip=0.25,
        sampler="ddim",
        labels=(1,),
    ),
    denoised("DIFFGUIDE-01", "no-clip", "s = 3 without a clip: predictions beyond ±1 stay", (1, 2)),
    denoised("DIFFGUIDE-01", "epsilon", "s = 2 on a prediction of ε", (1, 1), scale=2.0, prediction="epsilon"),
    denoised("DIFFGUIDE-01", "v", "s = 2 on a prediction of v", (1, 1), scale=2.0, prediction="v"),
    denoised("DIFFGUIDE-01", "large", "s = 2 with the large variance", (1, 1), scale=2.0, variance="large"),
    denoised(
        "DIFFGUIDE-01", "interpolated", "s = 2 with a variance between", (1, 1), scale=2.0, variance="interpolated"
    ),
    denoised("SAMPLE-01", "schedule", "four steps with loops of their own, guided", (3, 1, 2, 1), scale=2.0),
    denoised("SAMPLE-01", "one-step", "a single step: from time 1 to x̂, no noise", (2,), labels=(1,)),
    denoised(
        "SAMPLE-01",
        "beyond-training",
        "more loops than in training, DDIM, v",
        (1, 5, 2),
        scale=1.5,
        sampler="ddim",
        prediction="v",
    ),
    denoised(
        "SAMPLE-01",
        "interpolated",
        "the interpolated variance, unconditional",
        (2, 3, 1),
        scale=0.0,
        variance="interpolated",
        shift=-1.0,
        labels=(3, 1),
    ),
    denoised("SAMPLE-01", "ramp", "a guidance that grows", (2, 1, 1), schedule="ramp", labels=(1,)),
    denoised("SAMPLE-01", "epsilon", "three steps by predictions of ε", (1, 2, 1), scale=1.5, prediction="epsilon"),
    denoised("SAMPLE-01", "v", "three steps by predictions of v", (1, 2, 1), scale=1.5, prediction="v"),
    denoised("SAMPLE-01", "ddim", "three deterministic steps", (2, 1, 3), scale=1.5, sampler="ddim"),
    denoised("SAMPLE-01", "large", "three steps with the large variance", (1, 3, 2), scale=1.5, variance="large"),
    decoded("schedule", "four steps with loops of their own, guided", (3, 1, 2, 1), guidance_scale=3.0),
    decoded(
        "ramp",
        "a ramp of guidance, some tokens known",
        (1, 3, 2, 1),
        known=3,
        guidance_scale=4.0,
        guidance_schedule="ramp",
    ),
    decoded(
        "one-complete",
        "a row without unknown tokens beside one that has them: it stays as it is",
        (2, 1, 1, 2),
        complete=1,
        guidance_scale=2.0,
    ),
    decoded(
        "tempered",
        "tempered sampling, little noise of choice, more loops than in training",
        (2, 5, 1, 2),
        guidance_scale=2.0,
        sampling_temperature="elt",
        choice_temperature=1.0,
    ),
)
