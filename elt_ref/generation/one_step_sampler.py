"""The sampler of the drifting family: from noise to a sample in one evaluation, at any number of loops."""

import numpy as np
from jaxtyping import Int

from elt_ref.arrays import Tree
from elt_ref.config import DriftingExperiment
from elt_ref.generation.diffusion_sampler import Samples, relative_change
from elt_ref.generation.guided_forward import guided_forward
from elt_ref.idea import Idea
from elt_ref.model.drifting import DRIFTING_NETWORK
from elt_ref.schedules import LoopSchedule, loops_per_step


def generate(
    parameters: Tree,
    config: DriftingExperiment,
    labels: Int[np.ndarray, " batch"],
    noise: Samples,
    *,
    loops: LoopSchedule | None = None,
    idea: Idea | None = None,
) -> tuple[Samples, Int[np.ndarray, " batch"]]:
    """Return the samples that the network makes of `noise`, and the loops of each.

    Early exit measures the change as in the diffusion family. Other arguments and errors: see `sample`.
    """
    model, asked = config.model, loops if loops is not None else config.sampling.loops or config.model.max_loops
    (schedule,) = loops_per_step(asked, 1)
    DRIFTING_NETWORK.check(model, noise, labels)
    return guided_forward(
        DRIFTING_NETWORK,
        parameters,
        config,
        (noise,),
        labels,
        loops=schedule,
        guidance_scale=1.0,
        change=relative_change,
        idea=idea,
    )
