"""Mistakes in the parts of the masked network: layer, embedding, head, and the gradient through them."""

import math
from functools import partial
from typing import Any

import autograd.numpy
import numpy as np

from elt_ref.arrays import Tree
from elt_ref.config import MaskedModelConfig
from elt_ref.conformance.backend import Parameters, Tensors
from elt_ref.conformance.reference import ReferenceBackend, nested
from elt_ref.conformance.wrong.composed import ComposedBackend, Network
from elt_ref.model import apply_block
from elt_ref.model.masked import embed, mlm_head
from elt_ref.ops import drop_first, embedding, gelu, layer_norm, linear, stop_gradient, unembedding

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

    def masked_layer(self, *, parameters: Parameters, x: np.ndarray, heads: int, epsilon: float) -> Tensors:
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


class PreNorm(Parts, ComposedBackend):
    """The layer is pre-LN, as in GPT and DiT: the norm is before attention and MLP, not after the sum."""

    def layer(self, layer: Tree, x: Any, *, heads: int, epsilon: float) -> Any:
        norm = layer["attention_norm"]
        x = x + self.attend(layer["attention"], self.norm(x, norm["scale"], norm["bias"], epsilon), heads)
        norm = layer["mlp_norm"]
        return x + self.think(layer["mlp"], self.norm(x, norm["scale"], norm["bias"], epsilon))


class ErfGelu(Parts, ComposedBackend):
    """The GELU is exact, the default of PyTorch's nn.GELU; MaskGIT uses jax.nn.gelu's tanh form."""

    def activate(self, x: Any) -> Any:
        values = np.asarray(x)
        erf = np.vectorize(math.erf, otypes=[values.dtype])
        return 0.5 * values * (1 + erf(values / math.sqrt(2)))


class SigmoidGelu(Parts, ComposedBackend):
    """The GELU is x · sigmoid(1.702 x), the "quick" form of CLIP's code."""

    def activate(self, x: Any) -> Any:
        return x / (1 + anp.exp(-1.702 * x))


class UnbiasedVariance(Parts, ComposedBackend):
    """The norm divides by d − 1, the default of torch.std (annotated-transformer#119)."""

    def norm(self, x: Any, scale: Any, bias: Any, epsilon: float) -> Any:
        centred = x - anp.mean(x, axis=-1, keepdims=True)
        variance = anp.sum(centred * centred, axis=-1, keepdims=True) / (x.shape[-1] - 1)
        return centred / anp.sqrt(variance + epsilon) * scale + bias


class EpsilonOutsideRoot(Parts, ComposedBackend):
    """The norm adds ε to the deviation, outside the root (annotated-transformer#122)."""

    def norm(self, x: Any, scale: Any, bias: Any, epsilon: float) -> Any:
        centred = x - anp.mean(x, axis=-1, keepdims=True)
        variance = anp.mean(centred * centred, axis=-1, keepdims=True)
        return centred / (anp.sqrt(variance) + epsilon) * scale + bias


class EpsilonOfItsOwn(Parts, ComposedBackend):
    """The norm's ε is the framework's default 1e-5, not the configured one."""

    def norm(self, x: Any, scale: Any, bias: Any, epsilon: float) -> Any:  # noqa: ARG002
        return layer_norm(x, scale, bias, epsilon=1e-5)


class ScoresUnscaled(Parts, ComposedBackend):
    """Scores are not divided by √d_head."""

    def score_scale(self, head_width: int, heads: int) -> float:  # noqa: ARG002
        return 1.0


class ScoresScaledByWidth(Parts, ComposedBackend):
    """Scores are divided by √d of the whole width."""

    def score_scale(self, head_width: int, heads: int) -> float:
        return 1 / math.sqrt(head_width * heads)


class HeadsBeforeKinds(Parts, ComposedBackend):
    """The joint projection is read as heads × (query, key, value), GPT-NeoX's order, not kinds × heads."""

    def split(self, joint: Any, heads: int) -> tuple[Any, Any, Any]:
        batch, tokens, widths = joint.shape
        split = anp.transpose(anp.reshape(joint, (batch, tokens, heads, 3, widths // 3 // heads)), (3, 0, 2, 1, 4))
        return split[0], split[1], split[2]


class KeyBeforeQuery(Parts, ComposedBackend):
    """The joint projection is read as key, query, value."""

    def split(self, joint: Any, heads: int) -> tuple[Any, Any, Any]:
        key, query, value = super().split(joint, heads)
        return query, key, value


def _summed(parameters: Tree, ids: np.ndarray, positions: np.ndarray) -> Any:
    tables = parameters["embedding"]
    return embedding(tables["word"], ids) + embedding(tables["position"], positions)


def _sequence(model: MaskedModelConfig, tokens: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.concatenate([model.codebook_size + labels[:, None], tokens], axis=1).astype(np.int64)


class ClassTokenWithoutPosition(Parts, ComposedBackend):
    """The class token has no position and the first token has position 0, as if the prefix were added later."""

    def embed(self, parameters: Tree, model: MaskedModelConfig, tokens: np.ndarray, labels: np.ndarray) -> Any:
        tables = parameters["embedding"]
        words = embedding(tables["word"], _sequence(model, tokens, labels))
        places = embedding(tables["position"], np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape))
        total = anp.concatenate([words[:, :1], words[:, 1:] + places], axis=1)
        norm = tables["norm"]
        return layer_norm(total, norm["scale"], norm["bias"], epsilon=model.layer_norm_epsilon)


class ClassTokenLast(Parts, ComposedBackend):
    """The class token has the last position, the tokens have positions from 0."""

    def embed(self, parameters: Tree, model: MaskedModelConfig, tokens: np.ndarray, labels: np.ndarray) -> Any:
        ids = _sequence(model, tokens, labels)
        positions = np.broadcast_to(np.roll(np.arange(ids.shape[1]), 1), ids.shape)
        norm = parameters["embedding"]["norm"]
        total = _summed(parameters, ids, positions)
        return layer_norm(total, norm["scale"], norm["bias"], epsilon=model.layer_norm_epsilon)


class EmbeddingWithoutNorm(Parts, ComposedBackend):
    """The sum of word and position is not normalised before the loop."""

    def embed(self, parameters: Tree, model: MaskedModelConfig, tokens: np.ndarray, labels: np.ndarray) -> Any:
        ids = _sequence(model, tokens, labels)
        return _summed(parameters, ids, np.broadcast_to(np.arange(ids.shape[1]), ids.shape))


class NormBeforePosition(Parts, ComposedBackend):
    """The word is normalised first and the position added after."""

    def embed(self, parameters: Tree, model: MaskedModelConfig, tokens: np.ndarray, labels: np.ndarray) -> Any:
        ids = _sequence(model, tokens, labels)
        tables = parameters["embedding"]
        norm, words = tables["norm"], embedding(tables["word"], ids)
        words = layer_norm(words, norm["scale"], norm["bias"], epsilon=model.layer_norm_epsilon)
        return words + embedding(tables["position"], np.broadcast_to(np.arange(ids.shape[1]), ids.shape))


class LabelsUnused(Parts, ComposedBackend):
    """Labels are accepted and ignored: every picture has class 0, nearly as in the unofficial port of ELT."""

    def embed(self, parameters: Tree, model: MaskedModelConfig, tokens: np.ndarray, labels: np.ndarray) -> Any:
        return super().embed(parameters, model, tokens, np.zeros_like(labels))


class LabelsBeforeCodes(Parts, ComposedBackend):
    """The embedding is read as classes first, codes after, so a class reads a code's row."""

    def embed(self, parameters: Tree, model: MaskedModelConfig, tokens: np.ndarray, labels: np.ndarray) -> Any:
        ids = np.concatenate([labels[:, None], tokens], axis=1).astype(np.int64)
        norm = parameters["embedding"]["norm"]
        total = _summed(parameters, ids, np.broadcast_to(np.arange(ids.shape[1]), ids.shape))
        return layer_norm(total, norm["scale"], norm["bias"], epsilon=model.layer_norm_epsilon)


def _hidden(parameters: Tree, model: MaskedModelConfig, state: Any) -> Any:
    head = parameters["head"]
    hidden = gelu(linear(drop_first(state), head["dense"]["weight"], head["dense"]["bias"]))
    return layer_norm(hidden, head["norm"]["scale"], head["norm"]["bias"], epsilon=model.layer_norm_epsilon)


class HeadUntied(Parts, ComposedBackend):
    """The head multiplies by a copy of the word embedding, so the embedding gets no gradient through it."""

    def head(self, parameters: Tree, model: MaskedModelConfig, state: Any) -> Any:
        hidden = _hidden(parameters, model, state)
        return unembedding(hidden, stop_gradient(parameters["embedding"]["word"]), parameters["head"]["bias"])


class HeadTiedToLastRows(Parts, ComposedBackend):
    """The head uses the last rows of the word embedding, including the rows of classes and mask."""

    def head(self, parameters: Tree, model: MaskedModelConfig, state: Any) -> Any:
        rows = parameters["embedding"]["word"][-model.codebook_size :]
        return unembedding(_hidden(parameters, model, state), rows, parameters["head"]["bias"])


class HeadWithoutBias(Parts, ComposedBackend):
    """The logits have no bias."""

    def head(self, parameters: Tree, model: MaskedModelConfig, state: Any) -> Any:
        head = parameters["head"]
        return unembedding(_hidden(parameters, model, state), parameters["embedding"]["word"], 0 * head["bias"])


class HeadWithoutDense(Parts, ComposedBackend):
    """The head is only the tied embedding, without Dense, GELU and norm."""

    def head(self, parameters: Tree, model: MaskedModelConfig, state: Any) -> Any:  # noqa: ARG002
        return unembedding(drop_first(state), parameters["embedding"]["word"], parameters["head"]["bias"])


class HeadNormBeforeGelu(Parts, ComposedBackend):
    """The head normalises before its GELU."""

    def head(self, parameters: Tree, model: MaskedModelConfig, state: Any) -> Any:
        head, norm = parameters["head"], parameters["head"]["norm"]
        hidden = linear(drop_first(state), head["dense"]["weight"], head["dense"]["bias"])
        hidden = gelu(layer_norm(hidden, norm["scale"], norm["bias"], epsilon=model.layer_norm_epsilon))
        return unembedding(hidden, parameters["embedding"]["word"], head["bias"])


class ClassPositionPredicted(Parts, ComposedBackend):
    """Logits are read one position early: the class token's is kept and the last token's dropped."""

    def head(self, parameters: Tree, model: MaskedModelConfig, state: Any) -> Any:
        return head_of(parameters, model, anp.concatenate([state[:, -1:], state[:, :-1]], axis=1))


class FinalNorm(Parts, ComposedBackend):
    """There is a norm between the last loop and the head, as after a stack of pre-LN layers."""

    def head(self, parameters: Tree, model: MaskedModelConfig, state: Any) -> Any:
        centred = state - anp.mean(state, axis=-1, keepdims=True)
        normed = centred / anp.sqrt(anp.mean(centred * centred, axis=-1, keepdims=True) + 1e-6)
        return head_of(parameters, model, normed)


class FinalNormOfLastLayer(Parts, ComposedBackend):
    """The last layer's norm is applied again before the head, a final norm left over from a template."""

    def head(self, parameters: Tree, model: MaskedModelConfig, state: Any) -> Any:
        norm = parameters["block"][-1]["mlp_norm"]
        state = layer_norm(state, norm["scale"], norm["bias"], epsilon=model.layer_norm_epsilon)
        return head_of(parameters, model, state)


class RepeatedTokensOverwrite(Parts, ComposedBackend):
    """The gradient of the embedding is assigned by id, not added: only the last of equal tokens in a batch counts."""

    def embed(self, parameters: Tree, model: MaskedModelConfig, tokens: np.ndarray, labels: np.ndarray) -> Any:
        ids = _sequence(model, tokens, labels)
        flat = ids.ravel().tolist()
        last = np.array([token not in flat[place + 1 :] for place, token in enumerate(flat)])
        counts = last.reshape(*ids.shape, 1)
        tables, norm = parameters["embedding"], parameters["embedding"]["norm"]
        words = embedding(tables["word"], ids)
        words = counts * words + (1 - counts) * stop_gradient(words)
        total = words + embedding(tables["position"], np.broadcast_to(np.arange(ids.shape[1]), ids.shape))
        return layer_norm(total, norm["scale"], norm["bias"], epsilon=model.layer_norm_epsilon)


class NormDeviationConstant(Parts, ComposedBackend):
    """The gradient of the norm treats the deviation as a constant."""

    def norm(self, x: Any, scale: Any, bias: Any, epsilon: float) -> Any:
        centred = x - anp.mean(x, axis=-1, keepdims=True)
        variance = anp.mean(centred * centred, axis=-1, keepdims=True)
        return centred / stop_gradient(anp.sqrt(variance + epsilon)) * scale + bias


class BiasesWithoutGradient(ReferenceBackend):
    """The biases of the block do not learn: their gradient is zero."""

    def masked_gradient(self, **arguments: Any) -> Tensors:
        gradient = super().masked_gradient(**arguments)
        return {
            name: np.zeros_like(leaf) if name.startswith("block.") and name.endswith(".bias") else leaf
            for name, leaf in gradient.items()
        }
