"""From inputs to a prediction, in either family."""

from typing import Any

from elt_ref.arrays import Tree
from elt_ref.config import Config
from elt_ref.model.diffusion import diffusion_network
from elt_ref.model.loop import last_state
from elt_ref.model.masked import masked_network
from elt_ref.model.network import Network


def open_network(parameters: Tree, config: Config, *inputs: Any) -> Network:
    """Read the inputs of the configured family.

    Args:
        parameters: as from `init_parameters`.
        config: of the network.
        inputs: tokens and labels (see `masked_network`), or noisy samples, times and labels (see `diffusion_network`).
    """
    family = diffusion_network if config.model.family == "diffusion" else masked_network
    return family(parameters, config, *inputs)


def forward(parameters: Tree, config: Config, *inputs: Any, loops: int | None = None) -> Any:
    """Return the network's prediction after `loops` loops (L_max where not given).

    Args:
        parameters: as from `init_parameters`.
        config: of the network.
        inputs: tokens [batch, tokens] and labels [batch]; or, in the diffusion family, noisy samples [batch, height,
            width, channels], times [batch] and labels [batch].
        loops: L ≥ 1, also above L_max.

    Returns:
        Logits [batch, tokens, codebook size]; or, in the diffusion family, predictions in the shape of the samples.

    Raises:
        RequestError: loops or an input are not what they should be.
    """
    network = open_network(parameters, config, *inputs)
    return network.head(last_state(network.block, network.state, config.model.max_loops if loops is None else loops))
