"""Sampling from a trained network of either family, at any number of loops."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Shaped

from elt_ref.arrays import Tree
from elt_ref.config import Config
from elt_ref.errors import RequestError
from elt_ref.generation.diffusion_sampler import denoise, initial_noise, step_noise
from elt_ref.generation.loop_schedule import LoopSchedule
from elt_ref.generation.masked_sampler import decode, draw_noise


class Sampled(NamedTuple):
    """The result of sampling."""

    samples: Shaped[np.ndarray, "batch *shape"]
    """Tokens [batch, tokens], or samples [batch, height, width, channels] in the data's scale."""
    loops_used: Int[np.ndarray, "steps batch"]
    """Loops of each step and sample; they differ under early exit."""


def sample(
    parameters: Tree,
    config: Config,
    labels: Int[np.ndarray, " batch"],
    *,
    seed: int = 0,
    loops: LoopSchedule | None = None,
    start: Int[np.ndarray, "batch tokens"] | None = None,
) -> Sampled:
    """Draw samples for `labels`. The same seed gives the same noise, whatever the loops.

    Args:
        parameters: as from `init_parameters`, or the average of a trained run.
        config: network and sampling settings (steps, guidance, temperatures or variance).
        labels: classes, or ``config.model.unconditional_class``.
        seed: of the noise.
        loops: an integer, one a sampling step, or an `EarlyExit`; the configuration's where not given.
        start: of the masked family: tokens to start from, ``config.model.mask_token`` where unknown (inpainting); all
            unknown by default.

    Raises:
        RequestError: labels, tokens or loops are not what they should be, or a start is given to the diffusion family.
    """
    if config.model.family == "masked":
        states = list(
            decode(
                parameters,
                config,
                labels,
                lambda step: draw_noise(config, seed, step, len(labels)),
                loops=loops,
                start=start,
            )
        )
        result = states[-1].answer
    elif start is not None:
        raise RequestError("start: expected none in the diffusion family, got tokens")
    else:
        states = list(
            denoise(
                parameters,
                config,
                labels,
                initial_noise(config, seed, len(labels)),
                lambda step: step_noise(config, seed, step, len(labels)),
                loops=loops,
            )
        )
        result = states[-1].noisy
    return Sampled(result, np.stack([state.loops_used for state in states]))
