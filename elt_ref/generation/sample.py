"""Sampling from a trained network of any family, at any number of loops."""

from functools import partial
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Shaped

from elt_ref.arrays import Tree
from elt_ref.config import DriftingExperiment, Experiment, MaskedExperiment
from elt_ref.errors import RequestError
from elt_ref.generation.diffusion_sampler import denoise, initial_noise, step_noise
from elt_ref.generation.masked_sampler import decode, draw_noise
from elt_ref.generation.one_step_sampler import generate
from elt_ref.idea import Idea
from elt_ref.schedules import LoopSchedule


class Sampled(NamedTuple):
    """The result of sampling."""

    samples: Shaped[np.ndarray, "batch *shape"]
    """Tokens [batch, tokens], or samples [batch, height, width, channels] in the data's scale."""
    loops_used: Int[np.ndarray, "steps batch"]
    """Loops of each step and sample; they differ under early exit."""


def sample(
    parameters: Tree,
    config: Experiment,
    labels: Int[np.ndarray, " batch"],
    *,
    seed: int = 0,
    loops: LoopSchedule | None = None,
    start: Int[np.ndarray, "batch tokens"] | None = None,
    idea: Idea | None = None,
) -> Sampled:
    """A2: draw samples for `labels`. The same seed gives the same noise, whatever the loops.

    Args:
        parameters: as from `init_parameters`, or the average of a trained run.
        config: network and sampling settings (steps, guidance, temperatures or variance).
        labels: classes, or ``config.model.unconditional_class``.
        seed: seed of the noise.
        loops: an integer, one per sampling step, or an `EarlyExit`; the configuration's by default.
        start: masked family only: tokens to start from, ``config.model.mask_token`` where unknown (inpainting); all
            unknown by default.
        idea: functions in the place of the package's: those that the parameters were trained with.

    Raises:
        RequestError: labels, tokens or loops do not fit, or another family than the masked gets a start.
    """
    if isinstance(config, MaskedExperiment):
        noise = partial(draw_noise, config, seed, batch=len(labels))
        states = [*decode(parameters, config, labels, noise, loops=loops, start=start, idea=idea)]
        result = states[-1].answer
    elif start is not None:
        raise RequestError(f"start: expected none in the {config.model.family} family, got tokens")
    elif isinstance(config, DriftingExperiment):
        noise = initial_noise(config, seed, len(labels))
        result, used = generate(parameters, config, labels, noise, loops=loops, idea=idea)
        return Sampled(result, used[None])
    else:
        initial = initial_noise(config, seed, len(labels))
        noise = partial(step_noise, config, seed, batch=len(labels))
        states = [*denoise(parameters, config, labels, initial, noise, loops=loops, idea=idea)]
        result = states[-1].noisy
    return Sampled(result, np.stack([*map(attrgetter("loops_used"), states)]))
