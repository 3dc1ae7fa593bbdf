"""The looped network: layer f_θ, block g_Θ, loop F_(N,L), and what stands before and after the loop."""

from elt_ref.model.forward import forward, open_network
from elt_ref.model.labels import check_labels
from elt_ref.model.layer import post_norm_layer
from elt_ref.model.loop import apply_block, check_loops, last_state, loop_states
from elt_ref.model.masked import check_tokens
from elt_ref.model.network import Network
from elt_ref.model.parameters import declare_parameters, init_parameters

__all__ = [
    "Network",
    "apply_block",
    "check_labels",
    "check_loops",
    "check_tokens",
    "declare_parameters",
    "forward",
    "init_parameters",
    "last_state",
    "loop_states",
    "open_network",
    "post_norm_layer",
]
