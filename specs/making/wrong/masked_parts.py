"""Mistakes in the parts of the masked network: layer, embedding, head, and the gradient through them."""

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


def head_of(parameters: Tree, model: MaskedModelConfig, state: Any) -> Any:
    """Return the logits that the right head gives."""
    return mlm_head({"word": parameters["embedding"]["word"], **parameters["head"]}, model, state)


class Parts:
    """The replaceable parts of the network, one method each."""

    def norm(self, x: Any, scale: Any, bias: Any, epsilon: float) -> Any:
        """Return the layer norm."""
        return layer_norm(x, scale, bias, epsilon=epsilon)

    def activate(self, x: Any) -> Any:
        """Return the GELU."""
        return gelu(x)

    def split(self, joint: Any, heads: int) -> tuple[Any, Any, Any]:
        """Return query, key and value, each [batch, heads, tokens, head width]."""
        batch, tokens, widths = joint.shape
        split = anp.transpose(anp.reshape(joint, (batch, tokens, 3, heads, widths // 3 // heads)), (2, 0, 3, 1, 4))
        return split[0], split[1], split[2]

    def score_scale(self, head_width: int, heads: int) -> float:  # noqa: ARG002  wrong ones look at it
        """Return the factor of the scores."""
        return 1 / math.sqrt(head_width)

    def visible(self, scores: Any) -> Any:
        """Return the scores [batch, heads, tokens, tokens], very low if a token may not attend to another."""
        return scores

    def attend(self, layer: Tree, x: Any, heads: int) -> Any:
        """Return the attention with both its linear maps."""
        joint = layer["query_key_value"]
        query, key, value = self.split(linear(x, joint["weight"], joint["bias"]), heads)
        scores = anp.matmul(query, anp.swapaxes(key, -1, -2)) * self.score_scale(query.shape[-1], heads)
        scores = self.visible(scores)
        weights = anp.exp(scores - anp.max(scores, axis=-1, keepdims=True))
        weights = weights / anp.sum(weights, axis=-1, keepdims=True)
        joined = anp.reshape(anp.swapaxes(anp.matmul(weights, value), 1, 2), x.shape)
        return linear(joined, layer["output"]["weight"], layer["output"]["bias"])

    def think(self, layer: Tree, x: Any) -> Any:
        """Return the MLP."""
        hidden = self.activate(linear(x, layer["up"]["weight"], layer["up"]["bias"]))
        return linear(hidden, layer["down"]["weight"], layer["down"]["bias"])

    def layer(self, layer: Tree, x: Any, *, heads: int, epsilon: float) -> Any:
        """Return the layer."""
        norm = layer["attention_norm"]
        x = self.norm(x + self.attend(layer["attention"], x, heads), norm["scale"], norm["bias"], epsilon)
        norm = layer["mlp_norm"]
        return self.norm(x + self.think(layer["mlp"], x), norm["scale"], norm["bias"], epsilon)

    def embed(self, parameters: Tree, model: MaskedModelConfig, tokens: np.ndarray, labels: np.ndarray) -> Any:
        """Return the state before the first loop."""
        return embed(parameters, model, tokens, labels).state

    def head(self, parameters: Tree, model: MaskedModelConfig, state: Any) -> Any:
        """Return the logits."""
        return head_of(parameters, model, state)

    def masked_layer(self, *, parameters, x, heads, epsilon) -> Tensors:
        return {"x": np.asarray(self.layer(nested(parameters), x, heads=heads, epsilon=epsilon))}

    def network(self, config: Any, parameters: Tree, *inputs: Any) -> Network:
        """Return the network of these parts."""
        model = config.model
        layer = partial(self.layer, heads=model.heads, epsilon=model.layer_norm_epsilon)
        return Network(
            state=self.embed(parameters, model, *inputs),
            block=lambda x: apply_block(layer, parameters["block"], x),
            head=partial(self.head, parameters, model),
        )
