"""The diffusion network around the loop: patches and conditioning before it, the modulated output after it.

Source: DiT, facebookresearch/DiT models.py. The conditioning c does not depend on the loop, nor do the modulations that
each layer's weights make of it: both are computed once. The head returns what the network predicts (x0, ε or v), in the
shape of the sample.

The patch embedding reads a patch as (channel, row, column), the output writes it as (row, column, channel): two orders,
as in DiT, whose input is a convolution and whose output is a linear map.
"""

from collections.abc import Sequence
from typing import Any

import autograd.numpy
import numpy as np
from jaxtyping import Float, Int

from elt_ref.arrays import Array, Tree, check_integers, cut, join
from elt_ref.config import DiffusionModelConfig, PatchModelConfig
from elt_ref.errors import RequestError
from elt_ref.model.loop import adaln_zero_layer, loop_states
from elt_ref.model.network import Embedded, Network
from elt_ref.model.positions import sine_cosine_positions, time_features
from elt_ref.ops import count_call, count_work, embedding, linear, modulated_layer_norm, silu

anp: Any = autograd.numpy  # its names are made at run time, where no type checker sees them

State = Float[Array, "batch tokens d"]
Samples = Float[np.ndarray, "batch height width channels"]


def check_inputs(model: DiffusionModelConfig, noisy: Any, time: Any, labels: Any) -> None:
    """Raise RequestError unless the network can read noisy samples, times and labels.

    Args:
        model: section [model] of the configuration.
        noisy: z_t, floats [batch, height, width, channels].
        time: t in [0, 1], [batch]; 0 is clean and 1 noise.
        labels: integers [batch]: classes 0 … classes − 1, and ``model.unconditional_class`` for none.
    """
    check_samples("noisy", model, noisy)
    time = np.asarray(time)
    if time.shape != (len(noisy),):
        raise RequestError(f"time: expected shape [{len(noisy)}], got {list(time.shape)}")
    wrong = ~((time >= 0) & (time <= 1))
    if wrong.any():
        raise RequestError(f"time: expected t in 0…1, got {time[wrong][0]} at position {int(np.argmax(wrong))}")
    check_integers("labels", labels, (len(noisy),), below=model.label_rows, expected=model.label_range)


def check_samples(name: str, model: PatchModelConfig, samples: Any) -> None:
    """Raise RequestError unless `samples` are floats [batch, height, width, channels] of the model's shape."""
    if not isinstance(samples, np.ndarray) or not np.issubdtype(samples.dtype, np.floating):
        got = samples.dtype if isinstance(samples, np.ndarray) else type(samples).__name__
        raise RequestError(f"{name}: expected an array of floats, got {got}")
    if samples.ndim != 4 or samples.shape[1:] != model.shape:
        raise RequestError(
            f"{name}: expected shape [batch, {', '.join(map(str, model.shape))}], got {list(samples.shape)}"
        )


def embed(
    parameters: Tree,
    model: DiffusionModelConfig,
    noisy: Samples,
    time: Float[np.ndarray, " batch"],
    labels: Int[np.ndarray, " batch"],
) -> Embedded:
    """Return the embedded patches, and the modulations that each layer's and the head's weights make of t and label."""
    conditioning = embed_conditioning(parameters, model, time, labels, noisy.dtype)
    return conditioned(parameters, embed_patches(parameters, model, noisy), conditioning)


def conditioned(parameters: Tree, state: State, conditioning: Float[Array, "batch width"]) -> Embedded:
    """Return the embedded patches with the modulations that each layer's and the head's weights make of c."""
    conditioning = silu(conditioning)
    layers = [
        {"layer": layer, "modulation": modulate(layer["modulation"], conditioning, 6)} for layer in parameters["block"]
    ]
    head = parameters["head"]
    final = {"output": head["output"], "modulation": modulate(head["modulation"], conditioning, 2)}
    return Embedded(state, layers, final)


def embed_patches(parameters: Tree, model: PatchModelConfig, noisy: Samples) -> State:
    """Return the linear embedding of each patch, (channel, row, column), plus its fixed position."""
    patches = patchify(noisy, model.patch_size)
    positions = sine_cosine_positions(*model.grid, model.width).astype(noisy.dtype)
    count_work(elementwise_flops=len(noisy) * positions.size)
    return (
        linear(patches, parameters["embedding"]["patch"]["weight"], parameters["embedding"]["patch"]["bias"])
        + positions
    )


def embed_conditioning(
    parameters: Tree,
    model: DiffusionModelConfig,
    time: Float[np.ndarray, " batch"],
    labels: Int[np.ndarray, " batch"],
    dtype: np.dtype,
) -> Float[Array, "batch width"]:
    """Return c: the time features through Linear, SiLU, Linear, plus the label's row."""
    tables = parameters["embedding"]
    features = time_features(time, model.time_features, model.time_scale).astype(dtype)
    hidden = silu(linear(features, tables["time_in"]["weight"], tables["time_in"]["bias"]))
    hidden = linear(hidden, tables["time_out"]["weight"], tables["time_out"]["bias"])
    count_work(elementwise_flops=len(labels) * model.width)
    return hidden + embedding(tables["label"], labels)


def modulate(
    parameters: Tree, conditioning: Float[Array, "batch width"], chunks: int
) -> Float[Array, "batch chunks width"]:
    """Return the modulation that a layer's weights make of SiLU(c), cut into chunks of the width."""
    batch, width = conditioning.shape
    return anp.reshape(linear(conditioning, parameters["weight"], parameters["bias"]), (batch, chunks, width))


def patch_head(tree: Tree, model: PatchModelConfig, state: State) -> Float[Array, "batch height width channels"]:
    """Return the prediction: modulated norm (shift, scale), Linear, and each patch put back, (row, column, channel)."""
    count_call("head")
    output = tree["output"]
    normed = modulated_layer_norm(state, tree["modulation"], part=0, epsilon=model.layer_norm_epsilon)
    return unpatchify(linear(normed, output["weight"], output["bias"]), model.shape, model.patch_size)


def patchify(samples: Samples, size: int) -> Float[np.ndarray, "batch tokens features"]:
    """Cut samples into a sequence of patches in C order; features of a patch are ordered (channel, row, column).

    Args:
        samples: height and width are multiples of `size`.
        size: side of a patch.
    """
    pieces = cut(samples, (size, size))  # [batch, rows, columns, row, column, channel]
    return pieces.transpose(0, 1, 2, 5, 3, 4).reshape(len(samples), pieces.shape[1] * pieces.shape[2], -1)


def unpatchify(
    patches: Float[Array, "batch tokens features"], shape: Sequence[int], size: int
) -> Float[Array, "batch height width channels"]:
    """Put a sequence of patches back together; features of a patch are ordered (row, column, channel).

    Args:
        patches: features of the patches, in C order.
        shape: height, width and channels of a sample.
        size: side of a patch.
    """
    height, width, channels = shape
    return join(anp.reshape(patches, (len(patches), height // size, width // size, size, size, channels)))


DIFFUSION_NETWORK = Network(check_inputs, embed, adaln_zero_layer, patch_head, loop_states)
