"""The small classifier through which pictures are judged: its hidden layer gives the features, its output the class.

    pixels → linear → GELU → linear → GELU = features → linear = logits

Its weights ship with the data; ``python -m elt_ref.run.fit_feature_network NAME`` trains them again.
"""

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


class Judgement(NamedTuple):
    """What the classifier says of pictures."""

    features: Float[Array, "count features"]
    logits: Float[Array, "count classes"]


def judge(parameters: Tree, pictures: Float[np.ndarray, "count height width channels"]) -> Judgement:
    """Return features and class logits of pictures in [0, 1].

    Raises:
        RequestError: the pictures have another number of pixels than those it was trained on.
    """
    x = pictures.reshape(len(pictures), -1)
    expected = parameters["hidden"]["weight"].shape[0]
    if x.shape[1] != expected:
        raise RequestError(f"feature network: expected pictures of {expected} values, got {x.shape[1]}")
    hidden = gelu(linear(x, parameters["hidden"]["weight"], parameters["hidden"]["bias"]))
    features = gelu(linear(hidden, parameters["features"]["weight"], parameters["features"]["bias"]))
    return Judgement(features, linear(features, parameters["classes"]["weight"], parameters["classes"]["bias"]))


def load_feature_network(path: Path) -> Tree:
    """Read the classifier's weights.

    Raises:
        RequestError: the file is missing, truncated or something else.
    """
    tensors, _ = read_tensors(path, "feature network")
    try:
        return {
            part: {name: tensors[f"{part}.{name}"] for name in ("weight", "bias")}
            for part in ("hidden", "features", "classes")
        }
    except KeyError as error:
        raise RequestError(f"feature network {path}: expected a tensor {error}, got none") from None


def flatten(parameters: Tree) -> dict[str, np.ndarray]:
    """Return the tensors as they are named in the file."""
    return dict(tree_items(parameters))
