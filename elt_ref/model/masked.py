"""The masked network around the loop: class token, embeddings and their norm before it, the MLM head after it.

Source: MaskGIT. The sequence is [class | tokens]; the embedding's rows are codes, classes, the
unconditional row, the mask. The class token goes through the loop with the others and its output is ignored. Logits
exist for the codebook only: neither classes nor the mask can be predicted.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from elt_ref.arrays import Array, Tree, check_integers
from elt_ref.config import MaskedModelConfig
from elt_ref.model.loop import loop_states, post_norm_layer
from elt_ref.model.network import Embedded, Network
from elt_ref.ops import (
    count_call,
    drop_first,
    embedding,
    gelu,
    layer_norm,
    linear,
    put_rows,
    residual_layer_norm,
    take_rows,
    unembedding,
)

State = Float[Array, "batch tokens_and_class width"]


def check_inputs(model: MaskedModelConfig, tokens: Any, labels: Any) -> None:
    """Raise RequestError unless the network can read tokens and labels.

    Args:
        model: section [model] of the configuration.
        tokens: integers [batch, tokens]: codes 0 … codebook size − 1, and ``model.mask_token`` where unknown.
        labels: integers [batch]: classes 0 … classes − 1, and ``model.unconditional_class`` for none.
    """
    known = f"codes in 0…{model.codebook_size - 1} or the mask {model.mask_token}"
    shape = ("batch", model.tokens)
    check_integers("tokens", tokens, shape, below=model.codebook_size, also=model.mask_token, expected=known)
    check_integers("labels", labels, (len(tokens),), below=model.label_rows, expected=model.label_range)


def embed(
    parameters: Tree,
    model: MaskedModelConfig,
    tokens: Int[np.ndarray, "batch tokens"],
    labels: Int[np.ndarray, " batch"],
) -> Embedded:
    """Return the normalised sum of word and position embeddings of [class | tokens]."""
    tables = parameters["embedding"]
    ids = np.concatenate([model.codebook_size + labels[:, None].astype(np.int64), tokens], axis=1, dtype=np.int64)
    positions = np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
    words, places, norm = embedding(tables["word"], ids), embedding(tables["position"], positions), tables["norm"]
    state = residual_layer_norm(words, places, norm["scale"], norm["bias"], epsilon=model.layer_norm_epsilon)
    return Embedded(state, parameters["block"], {"word": tables["word"], **parameters["head"]})


def mlm_head(
    tree: Tree,
    model: MaskedModelConfig,
    state: State | Float[Array, "rows width"],
    wanted: Bool[np.ndarray, "batch tokens"] | None = None,
) -> Float[Array, "batch tokens codes"]:
    """Return logits over the codebook: Dense → GELU → LN → tied word embedding with a bias of its own.

    With `wanted`, other tokens have logits of zero at no cost, and the state may be the rows of these tokens alone.
    """
    count_call("head")
    dense, norm = tree["dense"], tree["norm"]
    if state.ndim > 2:
        state = drop_first(state)
        state = state if wanted is None else take_rows(state, wanted)
    hidden = gelu(linear(state, dense["weight"], dense["bias"]))
    hidden = layer_norm(hidden, norm["scale"], norm["bias"], epsilon=model.layer_norm_epsilon)
    logits = unembedding(hidden, tree["word"], tree["bias"])
    return logits if wanted is None else put_rows(logits, wanted)


MASKED_NETWORK = Network(check_inputs, embed, post_norm_layer, mlm_head, loop_states)
