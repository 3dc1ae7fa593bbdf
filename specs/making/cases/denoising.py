"""DENOISE: one step of the diffusion sampler, and its times."""

from typing import Any

import numpy as np

from specs.making.case import Case
from specs.making.cases.material import noise_section, normal


def step(
    clause: str,
    slug: str,
    why: str,
    *,
    times: tuple[float, float] = (-1.5, 0.25),
    last: bool = False,
    batch: int = 2,
    quiet: bool = False,
    **changes: Any,
) -> Case:
    """Return a case of one step between two log-SNRs; a quiet step has zero noise."""
    shape = (batch, 2, 3, 4)
    noise = normal(f"{slug}/noise", *shape)
    return Case(
        clause,
        slug,
        "denoise_step",
        why,
        {"diffusion": noise_section(**changes), "log_snr_t": times[0], "log_snr_s": times[1], "last": last},
        {
            "noisy": normal(f"{slug}/noisy", *shape),
            "clean": normal(f"{slug}/clean", *shape),
            "noise": np.zeros(shape) if quiet else noise,
        },
    )


def grid(slug: str, why: str, steps: int) -> Case:
    """Return a case of the time grid."""
    return Case("DENOISE-04", slug, "time_grid", why, {"steps": steps})


CASES = (
    step("DENOISE-01", "mean", "no noise: what of z and what of x̂ is in the mean", quiet=True),
    step("DENOISE-01", "long-step", "no noise, from nearly noise to nearly clean", times=(-6.0, 5.0), quiet=True),
    step("DENOISE-01", "short-step", "no noise, a step so short that z hardly moves", times=(0.5, 0.75), quiet=True),
    step("DENOISE-01", "small", "the posterior variance, not β_t"),
    step("DENOISE-01", "large", "β_t, not the posterior variance", variance="large"),
    step("DENOISE-01", "small-one", "the posterior variance where signal prevails", times=(1.0, 3.0), batch=1),
    step(
        "DENOISE-01",
        "mostly-small",
        "a quarter of the way from small to large, of logarithms",
        variance="interpolated",
        variance_fraction=0.25,
    ),
    step(
        "DENOISE-01",
        "at-small",
        "fraction 0 is the small variance",
        variance="interpolated",
        variance_fraction=0.0,
    ),
    step(
        "DENOISE-01",
        "at-large",
        "fraction 1 is the large variance",
        times=(-4.0, 1.0),
        variance="interpolated",
        variance_fraction=1.0,
    ),
    step("DENOISE-02", "last", "the last step: x̂, without noise, though noise is given", last=True),
    step(
        "DENOISE-02",
        "last-at-bound",
        "the last step at the clean bound with the large variance",
        times=(8.0, 15.5),
        last=True,
        variance="large",
    ),
    step("DENOISE-02", "between", "neither last nor clipped, with a variance between", variance="interpolated"),
    step("DENOISE-02", "not-last", "the same kind of step, not the last: its noise stays", times=(2.0, 4.0)),
    step("DENOISE-03", "ddim", "the deterministic step, though noise is given", sampler="ddim"),
    step("DENOISE-03", "ddim-long", "a long deterministic step", times=(-5.0, 4.0), sampler="ddim"),
    step("DENOISE-02", "ddim-last", "the last deterministic step is x̂ too", last=True, sampler="ddim", batch=1),
    step(
        "DENOISE-02", "ddim-clip", "DDIM with a clip that bites: ε̂ is that of the clipped x̂", sampler="ddim", clip=0.5
    ),
    step("DENOISE-02", "ancestral-clip", "an ancestral step with a clip that bites", clip=0.5),
    step("DENOISE-02", "last-clip", "the last step with a clip that bites", clip=0.75, last=True),
    step("DENOISE-02", "no-clip", "predictions beyond ±1 and no clip asked: latents are not bounded"),
    step("DENOISE-02", "wide-clip", "a clip that nothing reaches", clip=50.0, sampler="ddim"),
    grid("one", "a single step goes from 1 to 0", 1),
    grid("two", "two steps: 1, ½, 0", 2),
    grid("seven", "a number of steps that no power of two divides", 7),
)
