"""The two samplers, one sample at a time: K steps of a guided prediction and a step of E1 or E2.

Guidance is u + s (c − u), on the logits or on all values of the prediction; the unconditional branch reads the label
``classes`` and takes the same number of loops.
"""

from collections.abc import Callable, Mapping
from typing import Any

from specs.making.scalar.masking import decode_step
from specs.making.scalar.nesting import flat, shaped
from specs.making.scalar.networks import mask_token, open_diffusion, open_masked
from specs.making.scalar.noise import denoise_step, log_snr_at, time_grid, to_clean

Section = Mapping[str, Any]
Parameters = Mapping[str, Any]


def guidance_scale(step: int, steps: int, scale: float, schedule: str) -> float:
    """Return s, or for a ramp 1 + (s − 1) k / (K − 1); its first step is conditional, even as the only one."""
    if schedule == "constant":
        return scale
    if steps == 1:
        return 1.0
    return 1 + (scale - 1) * step / (steps - 1)


def guide(conditional: list[float], unconditional: list[float], scale: float) -> list[float]:
    """Return u + s (c − u)."""
    return [u + scale * (c - u) for c, u in zip(conditional, unconditional, strict=True)]


def guided(predict: Callable[[int], list[float]], label: int, nobody: int, scale: float) -> list[float]:
    """Return the guided prediction; at s = 1 the label's own, so that a network without "no class" works too."""
    return predict(label) if scale == 1 else guide(predict(label), predict(nobody), scale)


def masked_sample(
    model: Section,
    sampling: Section,
    parameters: Parameters,
    tokens: list[int],
    label: int,
    noise: list[tuple[list[list[float]], list[float]]],
    loops: list[int],
    precision: str,
) -> list[int]:
    """Return the answer of the last step; `noise` holds token and confidence noise of each step.

    Mask lengths have the precision that the backend declares, whatever ``schedule_precision`` of `sampling` says.
    """
    mask, codes, steps = mask_token(model), model["codebook_size"], len(loops)
    start, answer = tokens.count(mask), tokens
    for step in range(steps):
        running, here = tokens, loops[step]

        def predict(side: int, running: list[int] = running, here: int = here) -> list[float]:
            return flat(open_masked(model, parameters, running, side, here).predict(here))

        scale = guidance_scale(step, steps, sampling["guidance_scale"], sampling["guidance_schedule"])
        values = guided(predict, label, model["classes"], scale)
        tokens, answer = decode_step(
            [values[place : place + codes] for place in range(0, len(values), codes)],
            tokens,
            start,
            *noise[step],
            step=step,
            steps=steps,
            mask_token=mask,
            choice_temperature=sampling["choice_temperature"],
            sampling_temperature=sampling["sampling_temperature"],
            precision=precision,
        )
    return answer


def diffusion_sample(
    model: Section,
    diffusion: Section,
    sampling: Section,
    parameters: Parameters,
    label: int,
    noisy: list[float],
    step_noise: list[list[float]],
    loops: list[int],
) -> list[float]:
    """Return the flat sample after the last step; `noisy` is the initial noise."""
    steps = len(loops)
    times = time_grid(steps)
    levels = [log_snr_at(diffusion, time)[0] for time in times]
    for step in range(steps):
        now, here, sample = times[step], loops[step], shaped(noisy, model["shape"])

        def predict(side: int, now: float = now, here: int = here, sample: list = sample) -> list[float]:
            return flat(open_diffusion(model, parameters, sample, now, side, here).predict(here))

        scale = guidance_scale(step, steps, sampling["guidance_scale"], sampling["guidance_schedule"])
        prediction = guided(predict, label, model["classes"], scale)
        clean = to_clean(diffusion["prediction"], prediction, noisy, levels[step])
        last = step == steps - 1
        noisy = denoise_step(diffusion, noisy, clean, step_noise[step], levels[step], levels[step + 1], last=last)
    return noisy
