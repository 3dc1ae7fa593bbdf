"""NOISE: log-SNR, noising, targets and conversions."""

from typing import Any

import numpy as np

from specs.making.case import Case
from specs.making.cases.material import noise_section, normal

EVEN = np.array([0.0, 0.125, 0.5, 0.875, 0.9999, 0.99995, 1.0])
"""Times at the end, where log-SNR is steepest and the last bit of the time shows; three make its measure reliable."""
INSIDE = np.array([0.2, 0.4, 0.65, 0.9])
LEVELS = np.array([-3.0, -0.5, 0.0, 2.5])


def schedule(clause: str, slug: str, why: str, time: np.ndarray, **changes: Any) -> Case:
    """Return a case of the schedule."""
    return Case(clause, slug, "log_snr", why, {"diffusion": noise_section(**changes)}, {"time": time})


def samples(name: str, count: int) -> dict[str, np.ndarray]:
    """Return clean samples and noise; sides and channels all differ."""
    return {"clean": normal(f"{name}/clean", count, 2, 3, 4), "noise": normal(f"{name}/noise", count, 2, 3, 4)}


def target(slug: str, kind: str, why: str, levels: np.ndarray = LEVELS) -> Case:
    """Return a case of a prediction's target."""
    inputs = {**samples(f"target/{kind}", len(levels)), "log_snr": levels}
    return Case("NOISE-03", f"target-{slug}", "prediction_target", why, {"kind": kind}, inputs)


def back(slug: str, kind: str, why: str, levels: np.ndarray = LEVELS) -> Case:
    """Return a case of the conversion to the clean sample."""
    inputs = {
        "prediction": normal(f"back/{kind}", len(levels), 2, 3, 4),
        "noisy": normal(f"back/{kind}/noisy", len(levels), 2, 3, 4),
        "log_snr": levels,
    }
    return Case("NOISE-03", f"back-{slug}", "to_clean", why, {"kind": kind}, inputs)


CASES = (
    schedule(
        "NOISE-01",
        "larger-picture",
        "a negative shift, as of a larger picture, at both ends: its sign, its size, and the clip that comes before it",
        EVEN,
        shift=-1.4,
    ),
    schedule(
        "NOISE-01",
        "smaller-picture",
        "a positive shift: the clean end lies above the bound, where a late clip would cut it",
        EVEN,
        shift=0.75,
    ),
    schedule(
        "NOISE-01",
        "own-bounds",
        "bounds that are neither the default nor symmetric",
        INSIDE,
        shift=0.5,
        log_snr_min=-8.0,
        log_snr_max=11.0,
    ),
    schedule("NOISE-01", "no-shift", "the cosine alone, in a batch of one", np.array([0.3]), shift=0.0),
    schedule(
        "NOISE-01",
        "more-noise-at-noise",
        "a mixed shift that falls with time: its slope belongs to the derivative",
        INSIDE,
        shift=0.0,
        shift_at_noise=-1.5,
    ),
    schedule(
        "NOISE-01",
        "rising-shift",
        "a mixed shift that rises with time, at its ends: which shift is at which end",
        np.array([0.0, 0.5, 1.0]),
        shift=-0.5,
        shift_at_noise=1.0,
        log_snr_min=-6.0,
        log_snr_max=6.0,
    ),
    schedule(
        "NOISE-01",
        "one-shift",
        "one shift: it does not enter the derivative, whose sign is that of falling log-SNR",
        INSIDE,
        shift=1.0,
    ),
    Case(
        "NOISE-02",
        "between",
        "add_noise",
        "levels from noisy to clean: which of α and σ is which, and their roots",
        {},
        {**samples("noising", 4), "log_snr": LEVELS},
    ),
    Case(
        "NOISE-02",
        "nearly-clean",
        "add_noise",
        "a batch of one that is almost clean: noise must be σ, not σ², nor the sample itself",
        {},
        {**samples("nearly", 1), "log_snr": np.array([6.0])},
    ),
    Case(
        "NOISE-02",
        "nearly-noise",
        "add_noise",
        "a batch of one that is almost noise: little of the sample is left, and not none",
        {},
        {**samples("almost", 1), "log_snr": np.array([-6.0])},
    ),
    target("clean", "x0", "x0 is asked: the sample, not its noise"),
    target("epsilon", "epsilon", "ε is asked: the noise, not the sample"),
    target("v", "v", "v is α ε − σ x: its sign, and which factor goes with which"),
    target("v-even", "v", "as much signal as noise: v with the other sign", np.array([0.0])),
    back("clean", "x0", "a prediction of x0 is x0"),
    back("epsilon", "epsilon", "x0 from ε: (z − σ ε̂) / α with its division"),
    back("v", "v", "x0 from v: α z − σ v̂, not v̂ and not with a plus"),
    back("epsilon-noisy", "epsilon", "x0 from ε where little signal is left: the division matters", np.array([-4.0])),
)
