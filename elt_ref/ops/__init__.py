"""Differentiable primitives: one file an idea, with value, vector-Jacobian product and FLOP count side by side."""

from elt_ref.ops.attention import attention
from elt_ref.ops.counter import Work, count_call, count_work, counting
from elt_ref.ops.drop_first import drop_first
from elt_ref.ops.embedding import embedding, unembedding
from elt_ref.ops.gelu import gelu
from elt_ref.ops.gradient import pull_back, rematerialise, value_and_gradient
from elt_ref.ops.layer_norm import layer_norm, residual_layer_norm
from elt_ref.ops.linear import linear
from elt_ref.ops.modulation import gated_residual, modulated_layer_norm, silu
from elt_ref.ops.softmax import log_softmax, softmax, softmax_cross_entropy
from elt_ref.ops.squared_error import weighted_squared_error
from elt_ref.ops.stop_gradient import stop_gradient

__all__ = [
    "Work",
    "attention",
    "count_call",
    "count_work",
    "counting",
    "drop_first",
    "embedding",
    "gated_residual",
    "gelu",
    "layer_norm",
    "linear",
    "log_softmax",
    "modulated_layer_norm",
    "pull_back",
    "rematerialise",
    "residual_layer_norm",
    "silu",
    "softmax",
    "softmax_cross_entropy",
    "stop_gradient",
    "unembedding",
    "value_and_gradient",
    "weighted_squared_error",
]
