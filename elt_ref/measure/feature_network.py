"""The small classifier behind the metrics: its hidden layer gives the features, its output the class.

    pixels of a frame → linear → GELU; all frames joined → linear → GELU = features → linear = logits

The first map is the same for every frame, and a picture is a clip of one frame. Over these features the Fréchet
distance of clips is their Fréchet video distance. Where clips have a second labelling, by motion, a second linear map
gives logits of motions, so that the features see how frames follow one another.

The weights ship with the data; ``python -m elt_ref.run.fit_feature_network NAME`` trains them again.
"""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from elt_ref.arrays import Array, Tree, tree_items
from elt_ref.errors import RequestError
from elt_ref.files import read_tensors
from elt_ref.ops import gelu, linear

HIDDEN, FEATURES = 128, 32
FILE = "feature_network.safetensors"


class Classification(NamedTuple):
    """The classifier's output for pictures or clips."""

    features: Float[Array, "count features"]
    logits: Float[Array, "count classes"]
    motion_logits: Float[Array, "count motions"] | None
    """None if the classifier was not trained on motions."""


def classify(parameters: Tree, samples: Float[np.ndarray, "count *sides channels"]) -> Classification:
    """Return features and logits of pictures or clips in [0, 1].

    Raises:
        RequestError: the samples have another number of pixels or frames than the training samples.
    """
    frames, pixels = frames_and_pixels(samples)
    expected, width = parameters["hidden"]["weight"].shape
    if pixels != expected:
        raise RequestError(f"feature network: expected pictures of {expected} values, got {pixels}")
    expected = parameters["features"]["weight"].shape[0] // width
    if frames != expected:
        raise RequestError(f"feature network: expected clips of {expected} frames, got {frames}")
    hidden = gelu(_linear(parameters["hidden"], samples.reshape(-1, pixels)))
    features = gelu(_linear(parameters["features"], hidden.reshape(len(samples), frames * width)))
    motions = _linear(parameters["motions"], features) if "motions" in parameters else None
    return Classification(features, _linear(parameters["classes"], features), motions)


def frames_and_pixels(samples: Float[np.ndarray, "count *sides channels"]) -> tuple[int, int]:
    """Return the frames of a sample (1 for a picture) and the values of a frame."""
    return samples.shape[1] if samples.ndim == 5 else 1, math.prod(samples.shape[-3:])


def _linear(part: Tree, x: Array) -> Array:
    return linear(x, part["weight"], part["bias"])


def load_feature_network(path: Path) -> Tree:
    """Read the classifier's weights; only a classifier of clips with motions has a head for motions.

    Raises:
        RequestError: the file is missing, truncated or something else.
    """
    tensors, _ = read_tensors(path, "feature network")
    parts = ("hidden", "features", "classes", *(["motions"] if "motions.weight" in tensors else []))
    try:
        return {part: {name: tensors[f"{part}.{name}"] for name in ("weight", "bias")} for part in parts}
    except KeyError as error:
        raise RequestError(f"feature network {path}: expected a tensor {error}, got none") from None


def flatten(parameters: Tree) -> dict[str, np.ndarray]:
    """Return the tensors under their names in the file, in row-major order as safetensors needs them."""
    return {name: np.ascontiguousarray(leaf) for name, leaf in tree_items(parameters)}
