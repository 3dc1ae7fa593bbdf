"""The masked network around the loop: class token, embeddings and their norm before it, the MLM head after it.

Source: MaskGIT. The sequence is [class | tokens]; the embedding's rows are codes, classes, the
unconditional row, the mask. The class token goes through the loop with the others and its output is ignored. Logits
exist for the codebook only: neither classes nor the mask can be predicted.
"""

from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from elt_ref.arrays import Array, Tree
from elt_ref.config import Config, MaskedModelConfig, masked_model
from elt_ref.errors import RequestError
from elt_ref.model.labels import check_integers, check_labels
from elt_ref.model.layer import post_norm_layer
from elt_ref.model.loop import apply_block
from elt_ref.model.network import Network
from elt_ref.ops import (
    count_call,
    drop_first,
    embedding,
    gelu,
    layer_norm,
    linear,
    rematerialise,
    residual_layer_norm,
    unembedding,
)

State = Float[Array, "batch tokens_and_class width"]


def masked_network(
    parameters: Tree, config: Config, tokens: Int[np.ndarray, "batch tokens"], labels: Int[np.ndarray, " batch"]
) -> Network:
    """Return the network that has read its inputs: the state before the first loop, g_Θ and the head.

    Args:
        parameters: as from `init_parameters`.
        config: of the network.
        tokens: codes 0 … codebook size − 1, and ``config.model.mask_token`` where unknown.
        labels: classes 0 … classes − 1, and ``config.model.unconditional_class`` for none.

    Raises:
        RequestError: tokens or labels of another dtype, shape or range.
    """
    model = masked_model(config)
    check_tokens(tokens, model)
    check_labels(labels, len(tokens), model)
    layer = partial(post_norm_layer, heads=model.heads, epsilon=model.layer_norm_epsilon)

    def block(x: State, layers: Tree) -> State:
        return apply_block(layer, layers, x)

    once = rematerialise(block) if config.training.rematerialise else block
    return Network(
        state=embed(parameters, model, tokens, labels),
        block=lambda x: once(x, parameters["block"]),
        head=partial(mlm_head, parameters, model),
    )


def embed(
    parameters: Tree,
    model: MaskedModelConfig,
    tokens: Int[np.ndarray, "batch tokens"],
    labels: Int[np.ndarray, " batch"],
) -> State:
    """Return the normalised sum of word and position embeddings of [class | tokens]."""
    tables = parameters["embedding"]
    ids = np.concatenate([model.codebook_size + labels[:, None].astype(np.int64), tokens], axis=1, dtype=np.int64)
    positions = np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
    words = embedding(tables["word"], ids)
    norm = tables["norm"]
    return residual_layer_norm(
        words, embedding(tables["position"], positions), norm["scale"], norm["bias"], epsilon=model.layer_norm_epsilon
    )


def mlm_head(parameters: Tree, model: MaskedModelConfig, state: State) -> Float[Array, "batch tokens codes"]:
    """Return logits over the codebook: Dense → GELU → LN → tied word embedding with a bias of its own."""
    count_call("head")
    head = parameters["head"]
    hidden = linear(drop_first(state), head["dense"]["weight"], head["dense"]["bias"])
    hidden = layer_norm(gelu(hidden), head["norm"]["scale"], head["norm"]["bias"], epsilon=model.layer_norm_epsilon)
    return unembedding(hidden, parameters["embedding"]["word"], head["bias"])


def check_tokens(tokens: Any, model: MaskedModelConfig) -> None:
    """Raise RequestError unless `tokens` are integers [batch, tokens] in 0 … codebook size − 1 or the mask token."""
    check_integers("tokens", tokens)
    if tokens.ndim != 2 or tokens.shape[1] != model.tokens:
        raise RequestError(f"tokens: expected shape [batch, {model.tokens}], got {list(tokens.shape)}")
    wrong = ((tokens < 0) | (tokens >= model.codebook_size)) & (tokens != model.mask_token)
    if wrong.any():
        raise RequestError(
            f"tokens: expected codes in 0…{model.codebook_size - 1} or the mask {model.mask_token}, "
            f"got {tokens[wrong][0]} at {[int(i) for i in np.argwhere(wrong)[0]]}"
        )
