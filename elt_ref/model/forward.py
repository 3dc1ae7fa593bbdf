"""From inputs to a prediction, in any family."""

from collections.abc import Sequence
from typing import Any

from elt_ref.arrays import Tree, check_loops
from elt_ref.config import DiffusionExperiment, DriftingExperiment, Experiment, MaskedExperiment
from elt_ref.errors import RequestError
from elt_ref.idea import Idea
from elt_ref.model.diffusion import DIFFUSION_NETWORK
from elt_ref.model.drifting import DRIFTING_NETWORK
from elt_ref.model.loop import run
from elt_ref.model.masked import MASKED_NETWORK
from elt_ref.model.network import Network

NETWORKS: dict[type[Experiment], Network] = {
    MaskedExperiment: MASKED_NETWORK,
    DiffusionExperiment: DIFFUSION_NETWORK,
    DriftingExperiment: DRIFTING_NETWORK,
}
"""Network by type of experiment."""


def forward(
    parameters: Tree,
    config: Experiment,
    *inputs: Any,
    loops: int | None = None,
    exits: Sequence[int] | None = None,
    idea: Idea | None = None,
) -> Any:
    """Return the network's prediction after `loops` loops, or its predictions at each of `exits`.

    Args:
        parameters: as from `init_parameters`.
        config: experiment.
        inputs: tokens [batch, tokens] and labels [batch]; or, in the diffusion family, noisy samples [batch, height,
            width, channels], times [batch] and labels [batch]; in the drifting family, noise of that shape and labels.
        loops: L ≥ 1, also above L_max; L_max by default.
        exits: several L in place of one, in any order: ``exits=(L_int, L_max)``. One pass, as long as the longest,
            serves all.
        idea: functions in the place of the family's.

    Returns:
        Logits [batch, tokens, codebook size]; or, in the other families, predictions in the shape of the samples.
        With `exits`, a list of them.

    Raises:
        RequestError: loops, an exit or an input do not fit, or both loops and exits are there.
    """
    network = NETWORKS[type(config)]
    network.check(config.model, *inputs)
    if exits is None:
        loops = config.model.max_loops if loops is None else check_loops(loops)
        (prediction,) = run(network, parameters, config, inputs, exits=[loops], idea=idea)
        return prediction
    if loops is not None:
        raise RequestError("forward: expected loops or exits, got both")
    if not exits:
        raise RequestError("exits: expected at least one number of loops, got none")
    return run(network, parameters, config, inputs, exits=[check_loops(loops, "exits") for loops in exits], idea=idea)
