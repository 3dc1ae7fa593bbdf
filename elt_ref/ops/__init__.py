"""Differentiable primitives: one file an idea, with value, vector-Jacobian product and FLOP count side by side."""

from elt_ref.ops.adaln_zero_layer import adaln_zero_layer
from elt_ref.ops.counter import Work, count_call, count_passes, count_work, counting
from elt_ref.ops.drop_first import drop_first
from elt_ref.ops.embedding import embedding, unembedding
from elt_ref.ops.gelu import gelu
from elt_ref.ops.gradient import pull_back, rematerialise, value_and_gradient
from elt_ref.ops.layer_norm import layer_norm, residual_layer_norm
from elt_ref.ops.linear import linear
from elt_ref.ops.modulation import modulated_layer_norm, silu
from elt_ref.ops.post_norm_layer import post_norm_layer
from elt_ref.ops.rows import put_rows, take_rows
from elt_ref.ops.softmax import log_softmax, softmax, softmax_cross_entropy
from elt_ref.ops.squared_error import weighted_squared_error
from elt_ref.ops.stop_gradient import constant, stop_gradient

__all__ = [
    "Work",
    "adaln_zero_layer",
    "constant",
    "count_call",
    "count_passes",
    "count_work",
    "counting",
    "drop_first",
    "embedding",
    "gelu",
    "layer_norm",
    "linear",
    "log_softmax",
    "modulated_layer_norm",
    "post_norm_layer",
    "pull_back",
    "put_rows",
    "rematerialise",
    "residual_layer_norm",
    "silu",
    "softmax",
    "softmax_cross_entropy",
    "stop_gradient",
    "take_rows",
    "unembedding",
    "value_and_gradient",
    "weighted_squared_error",
]
