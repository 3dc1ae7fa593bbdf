"""The drifting network around the loop: the diffusion network without time, from noise and a class to a sample.

The conditioning c is the label's row alone; everything else, from the patches to the output, is `model.diffusion`.
"""

from typing import Any

import numpy as np
from jaxtyping import Int

from elt_ref.arrays import Tree, check_integers
from elt_ref.config import DriftingModelConfig
from elt_ref.model.diffusion import Samples, check_samples, conditioned, embed_patches, patch_head
from elt_ref.model.loop import adaln_zero_layer, loop_states
from elt_ref.model.network import Embedded, Network
from elt_ref.ops import embedding


def check_inputs(model: DriftingModelConfig, noise: Any, labels: Any) -> None:
    """Raise RequestError unless the network can read noise and labels.

    Args:
        model: section [model] of the configuration.
        noise: ε, floats [batch, height, width, channels].
        labels: integers [batch]: classes 0 … classes − 1.
    """
    check_samples("noise", model, noise)
    check_integers("labels", labels, (len(noise),), below=model.label_rows, expected=model.label_range)


def embed(parameters: Tree, model: DriftingModelConfig, noise: Samples, labels: Int[np.ndarray, " batch"]) -> Embedded:
    """Return the embedded patches of the noise, and the modulations of the labels."""
    conditioning = embedding(parameters["embedding"]["label"], labels)
    return conditioned(parameters, embed_patches(parameters, model, noise), conditioning)


DRIFTING_NETWORK = Network(check_inputs, embed, adaln_zero_layer, patch_head, loop_states)
