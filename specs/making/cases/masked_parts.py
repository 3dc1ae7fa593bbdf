"""BLOCK-01 … 04, GRAD-01: layer, embedding and head of the masked network, and the gradient of its objective."""

from typing import Any

import numpy as np

from specs.making.case import Case
from specs.making.cases.material import integers, masked_section, normal, parameters, uniform

MASKED = 0.6
"""Default share of masked tokens."""


def reading(name: str, *, loops: int, batch: int = 2, **changes: Any) -> dict[str, Any]:
    """Return settings and inputs of a case that runs the network on partly masked tokens."""
    model = masked_section(**changes)
    tokens = int(np.prod(model["grid"]))
    codes = integers(f"{name}/codes", model["codebook_size"], batch, tokens)
    mask_token = model["codebook_size"] + model["classes"] + int(model["unconditional_row"])
    inputs = {
        **parameters(model, name),
        "tokens": np.where(uniform(f"{name}/mask", batch, tokens) < MASKED, mask_token, codes),
        "labels": integers(f"{name}/labels", model["classes"], batch),
    }
    return {"settings": {"model": model, "loops": loops}, "inputs": inputs}


def learning(
    name: str,
    *,
    student: int | None = 1,
    weight: float = 0.3,
    reduction: str = "mean_per_sample",
    smoothing: float = 0.0,
    mask: list[list[int]] | None = None,
    batch: int = 2,
    **changes: Any,
) -> dict[str, Any]:
    """Return settings and inputs of a case of the objective. Samples differ in how many of their tokens are masked."""
    model = masked_section(**changes)
    tokens = int(np.prod(model["grid"]))
    masked = uniform(f"{name}/mask", batch, tokens) < np.linspace(0.9, 0.3, batch)[:, None]
    masked[:, 0] = True
    inputs = {
        **parameters(model, name),
        "tokens": integers(f"{name}/codes", model["codebook_size"], batch, tokens),
        "mask": masked if mask is None else np.array(mask, bool),
        "labels": integers(f"{name}/labels", model["classes"], batch),
    }
    settings = {
        "model": model,
        "student_loops": student,
        "truth_weight": weight,
        "reduction": reduction,
        "label_smoothing": smoothing,
    }
    return {"settings": settings, "inputs": inputs}


def layer(name: str, *, batch: int, tokens: int, heads: int, epsilon: float, size: float = 1.0) -> dict[str, Any]:
    """Return settings and inputs of a case of one layer."""
    drawn = parameters(masked_section(layers=1), name)
    own = {key.replace("block.0.", ""): leaf for key, leaf in drawn.items() if ".block.0." in key}
    inputs = {**own, "x": size * normal(f"{name}/x", batch, tokens, 8)}
    return {"settings": {"heads": heads, "epsilon": epsilon}, "inputs": inputs}


CASES = (
    Case(
        "BLOCK-01",
        "two-heads",
        "masked_layer",
        "order of norm and sum, the form of the GELU, scale and layout of the heads",
        **layer("block-01/two-heads", batch=2, tokens=5, heads=2, epsilon=1e-12),
    ),
    Case(
        "BLOCK-01",
        "four-heads-of-two",
        "masked_layer",
        "scores scaled by the width, or by the heads, in place of the width of one head",
        **layer("block-01/four-heads", batch=1, tokens=7, heads=4, epsilon=1e-12),
    ),
    Case(
        "BLOCK-01",
        "one-head-one-token",
        "masked_layer",
        "a single token attends to itself alone, whatever its score",
        **layer("block-01/one", batch=1, tokens=1, heads=1, epsilon=1e-12),
    ),
    Case(
        "BLOCK-01",
        "large-epsilon",
        "masked_layer",
        "an ε that is fixed, or added outside of the root, shows where it is as large as the variance",
        **layer("block-01/epsilon", batch=2, tokens=3, heads=2, epsilon=0.5, size=0.7),
    ),
    Case(
        "BLOCK-01",
        "large-state",
        "masked_layer",
        "a softmax or a GELU that loses its tails where activations are large",
        **layer("block-01/large", batch=2, tokens=3, heads=2, epsilon=1e-12, size=6.0),
    ),
    Case(
        "BLOCK-02",
        "partly-masked",
        "masked_states",
        "positions shifted by one against the tokens, a sum that is not normalised",
        **reading("block-02/partly", loops=1, layers=1),
    ),
    Case(
        "BLOCK-02",
        "one-token",
        "masked_states",
        "a class token without a position of its own, next to a single token",
        **reading("block-02/one", loops=1, layers=1, grid=[1], batch=1),
    ),
    Case(
        "BLOCK-02",
        "no-unconditional-row",
        "masked_states",
        "an embedding of codes, classes and the mask alone: the mask is its last row in either layout",
        **reading("block-02/released", loops=2, layers=1, unconditional_row=False),
    ),
    Case(
        "BLOCK-02",
        "five-tokens",
        "masked_states",
        "positions of a row of tokens; five of them, so that no axis is as long as another",
        **reading("block-02/five", loops=1, layers=2, grid=[5], batch=3),
    ),
    Case(
        "BLOCK-03",
        "logits",
        "masked_forward",
        "a part of the head left out or moved, another set of rows, the wrong position dropped",
        **reading("block-03/logits", loops=2),
    ),
    Case(
        "BLOCK-03",
        "batch-of-one",
        "masked_forward",
        "the head of a network of one layer and one loop",
        **reading("block-03/one", loops=1, layers=1, batch=1),
    ),
    Case(
        "BLOCK-03",
        "gradient-of-the-table",
        "masked_gradient",
        "a head whose weights were copied from the embedding: its gradient does not reach the table",
        **learning("block-03/gradient", student=None, layers=1, max_loops=1),
    ),
    Case(
        "BLOCK-03",
        "gradient-of-sums",
        "masked_gradient",
        "the same of a loss that is a sum",
        **learning("block-03/sums", student=None, layers=1, max_loops=1, reduction="sum", batch=1),
    ),
    Case(
        "BLOCK-03",
        "after-two-loops",
        "masked_forward",
        "a final norm, which the post-LN layer does not need and the loop would not expect",
        **reading("block-04/two", loops=2),
    ),
    Case(
        "BLOCK-03",
        "after-one-loop",
        "masked_forward",
        "a final norm in a network of one loop",
        **reading("block-04/one", loops=1, grid=[5], batch=1),
    ),
    Case(
        "GRAD-01",
        "three-terms",
        "masked_gradient",
        "any parameter whose gradient is missing, cut, or counted once where it is used often",
        **learning("grad-01/three", student=2, weight=0.4),
    ),
    Case(
        "GRAD-01",
        "sum-with-smoothing",
        "masked_gradient",
        "the gradient of the printed sum and of a smoothed target",
        **learning("grad-01/sum", student=1, weight=0.7, reduction="sum", smoothing=0.1, layers=1),
    ),
    Case(
        "GRAD-01",
        "sum",
        "masked_gradient",
        "the gradient of the printed sum",
        **learning("grad-01/plain-sum", student=1, weight=0.5, reduction="sum", layers=1, max_loops=2),
    ),
    Case(
        "GRAD-01",
        "vanilla",
        "masked_gradient",
        "the gradient without a student, of a batch of one sample with every token masked",
        **learning("grad-01/vanilla", student=None, batch=1, mask=[[1] * 6], max_loops=2),
    ),
    Case(
        "GRAD-01",
        "equal-tokens",
        "masked_gradient",
        "a table whose gradient is assigned by id: here every visible token is the same",
        **{
            **(made := learning("grad-01/equal", student=None, layers=1, max_loops=1)),
            "inputs": {**made["inputs"], "tokens": np.full((2, 6), 3), "labels": np.array([1, 1])},
        },
    ),
)
