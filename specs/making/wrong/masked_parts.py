"""A mixin: the masked network with an embedding and an attention that a wrong implementation can replace."""

import math
from functools import partial
from typing import Any

import autograd.numpy
import numpy as np

from elt_ref.arrays import Tree
from elt_ref.config import MaskedModelConfig
from elt_ref.conformance.backend import Tensors
from elt_ref.conformance.reference import nested
from elt_ref.model import apply_block
from elt_ref.model.masked import embed, mlm_head
from elt_ref.ops import gelu, layer_norm, linear
from specs.making.wrong.composed import Network

anp: Any = autograd.numpy  # its names are made at run time, invisible to a type checker


class Parts:
    """The replaceable parts of the network, one method each."""

    def visible(self, scores: Any) -> Any:
        """Return the scores [batch, heads, tokens, tokens], very low if a token may not attend to another."""
        return scores

    def embed(self, parameters: Tree, model: MaskedModelConfig, tokens: np.ndarray, labels: np.ndarray) -> Any:
        """Return the state before the first loop."""
        return embed(parameters, model, tokens, labels).state

    def masked_layer(self, *, parameters, x, heads, epsilon) -> Tensors:
        return {"x": np.asarray(self._layer(nested(parameters), x, heads=heads, epsilon=epsilon))}

    def network(self, config: Any, parameters: Tree, *inputs: Any) -> Network:
        """Return the network of these parts."""
        model = config.model
        layer = partial(self._layer, heads=model.heads, epsilon=model.layer_norm_epsilon)
        head = {"word": parameters["embedding"]["word"], **parameters["head"]}
        return Network(
            state=self.embed(parameters, model, *inputs),
            block=lambda x: apply_block(layer, parameters["block"], x),
            head=partial(mlm_head, head, model),
        )

    def _layer(self, layer: Tree, x: Any, *, heads: int, epsilon: float) -> Any:
        first, second, mlp = layer["attention_norm"], layer["mlp_norm"], layer["mlp"]
        x = x + self._attention(layer["attention"], x, heads)
        x = layer_norm(x, first["scale"], first["bias"], epsilon=epsilon)
        x = x + _linear(gelu(_linear(x, mlp["up"])), mlp["down"])
        return layer_norm(x, second["scale"], second["bias"], epsilon=epsilon)

    def _attention(self, layer: Tree, x: Any, heads: int) -> Any:
        joint = _linear(x, layer["query_key_value"])
        batch, tokens, widths = joint.shape
        width = widths // 3 // heads
        split = anp.transpose(anp.reshape(joint, (batch, tokens, 3, heads, width)), (2, 0, 3, 1, 4))
        query, key, value = split[0], split[1], split[2]  # a traced array cannot be unpacked
        scores = self.visible(anp.matmul(query, anp.swapaxes(key, -1, -2)) / math.sqrt(width))
        weights = anp.exp(scores - anp.max(scores, axis=-1, keepdims=True))
        weights = weights / anp.sum(weights, axis=-1, keepdims=True)
        joined = anp.reshape(anp.swapaxes(anp.matmul(weights, value), 1, 2), x.shape)
        return _linear(joined, layer["output"])


def _linear(x: Any, weights: Tree) -> Any:
    return linear(x, weights["weight"], weights["bias"])  # what is named is not differentiated
