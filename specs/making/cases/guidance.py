"""GUIDE, DROP: classifier-free guidance, and its dropped labels."""

from typing import Any

import numpy as np

from specs.making.case import Case
from specs.making.cases.decoding import sampled
from specs.making.cases.masked_parts import reading
from specs.making.cases.material import normal


def guided(name: str, scale: float, *shape: int) -> dict[str, Any]:
    """Return settings and inputs of guiding two predictions."""
    inputs = {"conditional": normal(f"{name}/c", *shape), "unconditional": normal(f"{name}/u", *shape)}
    return {"settings": {"scale": scale}, "inputs": inputs}


def ramp(scale: float, steps: int, schedule: str = "ramp") -> dict[str, Any]:
    """Return settings of a table of scales."""
    return {"settings": {"scale": scale, "steps": steps, "schedule": schedule}}


def dropped(labels: list[int], draws: list[float], rate: float, classes: int) -> dict[str, Any]:
    """Return settings and inputs of dropping labels."""
    inputs = {"labels": np.array(labels), "draws": np.array(draws)}
    return {"settings": {"rate": rate, "classes": classes}, "inputs": inputs}


def nobody(name: str, labels: list[int], **changes: Any) -> dict[str, Any]:
    """Return a case's settings and inputs in which some labels are "no class"."""
    made = reading(name, loops=2, batch=len(labels), layers=1, **changes)
    return {**made, "inputs": {**made["inputs"], "labels": np.array(labels)}}


CASES = (
    Case(
        "GUIDE-01",
        "three",
        "guide",
        "the form c + s (c − u), or branches swapped",
        **guided("guide-01/three", 3.0, 2, 6, 7),
    ),
    Case("GUIDE-01", "half", "guide", "a scale between the two", **guided("guide-01/half", 0.5, 1, 6, 7)),
    Case("GUIDE-01", "four-channels", "guide", "a fourth channel left out", **guided("guide-01/four", 3.0, 2, 3, 5, 4)),
    Case("GUIDE-02", "one", "guide", "s = 1 is conditional", **guided("guide-02/one", 1.0, 2, 6, 7)),
    Case("GUIDE-02", "zero", "guide", "s = 0 is unconditional, not unguided", **guided("guide-02/zero", 0.0, 2, 6, 7)),
    Case(
        "GUIDE-02",
        "sampling-at-one",
        "masked_sample",
        "a sampling at s = 1 that is not conditional",
        **sampled("guide-02/at-one", loops=[2, 2, 1, 1], batch=4, guidance_scale=1.0),
    ),
    Case(
        "GUIDE-02",
        "sampling-at-zero",
        "masked_sample",
        "a sampling at s = 0 that takes the label",
        **sampled("guide-02/at-zero", loops=[1, 2], batch=4, guidance_scale=0.0),
    ),
    Case(
        "GUIDE-02",
        "sampling-at-three",
        "masked_sample",
        "an unconditional branch that reads another class",
        **sampled("guide-02/at-three", loops=[2, 1, 1, 1], batch=4, guidance_scale=3.0),
    ),
    Case(
        "GUIDE-02",
        "sampling-tempered",
        "masked_sample",
        "an unconditional branch in a tempered sampling",
        **sampled("guide-02/tempered", loops=[2, 1], batch=4, guidance_scale=3.0, sampling_temperature="elt"),
    ),
    Case("GUIDE-03", "five-steps", "guidance_scales", "a ramp from 0, or one that stops short", **ramp(3.0, 5)),
    Case(
        "GUIDE-03", "one-step", "guidance_scales", "K = 1: the only step is the first, and conditional", **ramp(3.0, 1)
    ),
    Case("GUIDE-03", "two-steps", "guidance_scales", "both ends and nothing between", **ramp(4.5, 2)),
    Case("GUIDE-03", "down-to-zero", "guidance_scales", "a ramp below 1", **ramp(0.0, 4)),
    Case("GUIDE-03", "constant", "guidance_scales", "a constant schedule that ramps", **ramp(2.5, 4, "constant")),
    Case(
        "GUIDE-03",
        "sampling",
        "masked_sample",
        "a ramp in a whole sampling",
        **sampled("guide-03/sampling", loops=[1, 2, 1, 1], batch=4, guidance_scale=6.0, guidance_schedule="ramp"),
    ),
    Case(
        "GUIDE-03",
        "sampling-constant",
        "masked_sample",
        "a constant scale in a whole sampling",
        **sampled("guide-03/constant", loops=[1, 2, 1, 1], batch=4, guidance_scale=2.5),
    ),
    Case(
        "GUIDE-03",
        "sampling-tempered",
        "masked_sample",
        "the same of a tempered sampling",
        **sampled("guide-03/tempered", loops=[1, 1], batch=4, guidance_scale=2.5, sampling_temperature="elt"),
    ),
    Case(
        "DROP-01",
        "tenth",
        "drop_labels",
        "a drop to another class, or of those above the rate",
        **dropped([2, 0, 1, 2, 1], [0.05, 0.6, 0.01, 0.2, 0.95], 0.1, 3),
    ),
    Case(
        "DROP-01",
        "rate-zero",
        "drop_labels",
        "rate 0 drops nothing, not even at a draw of 0",
        **dropped([1, 2, 0], [0.0, 0.5, 0.0], 0.0, 3),
    ),
    Case(
        "DROP-01", "rate-one", "drop_labels", "rate 1 drops all", **dropped([0, 1, 4, 4], [0.0, 0.3, 0.7, 0.99], 1.0, 5)
    ),
    Case(
        "DROP-01",
        "whole-batch",
        "drop_labels",
        "equal draws drop whole batches",
        **dropped([0, 1], [0.05, 0.05], 0.1, 2),
    ),
    Case(
        "DROP-01",
        "nobody-among-classes",
        "masked_forward",
        "a row of another class, or of the mask, for no class",
        **nobody("drop-02/among", [3, 1, 0]),
    ),
    Case(
        "DROP-01",
        "nobody-alone",
        "masked_forward",
        "no class in a batch of one, with two classes",
        **nobody("drop-02/alone", [2], classes=2),
    ),
)
