"""The looped network: layer f_θ, block g_Θ, loop F_(N,L), and what stands before and after the loop."""

from elt_ref.model.changed import with_idea
from elt_ref.model.forward import NETWORKS, forward
from elt_ref.model.loop import adaln_zero_layer, apply_block, block_of, loop_states, post_norm_layer, run
from elt_ref.model.network import Embedded, Network
from elt_ref.model.parameterisation import add_noise, prediction_target, to_x0
from elt_ref.model.parameters import declare_parameters, init_parameters

__all__ = [
    "NETWORKS",
    "Embedded",
    "Network",
    "adaln_zero_layer",
    "add_noise",
    "apply_block",
    "block_of",
    "declare_parameters",
    "forward",
    "init_parameters",
    "loop_states",
    "post_norm_layer",
    "prediction_target",
    "run",
    "to_x0",
    "with_idea",
]
