"""The strategy for every operation, and the clauses that a fresh question is about."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from elt_ref.conformance.fresh import networks, parts
from elt_ref.conformance.fresh.drawer import Drawer, Drawn
from elt_ref.conformance.operations import TABLE

QUESTIONS: Mapping[str, Callable[[Drawer], Drawn]] = {**networks.QUESTIONS, **parts.QUESTIONS}
"""The strategy for every operation."""

Settings: TypeAlias = Mapping[str, Any]
SOME: tuple[tuple[str, tuple[str, ...], Callable[[Settings], Any]], ...] = (
    ("masked_states", ("LOOP-04",), lambda s: s["loops"] > s["model"]["max_loops"]),
    ("masked_states", ("CLIP-02",), lambda s: len(s["model"]["grid"]) == 3),
    ("masked_forward", ("LOOP-04",), lambda s: s["loops"] > s["model"]["max_loops"]),
    ("masked_objective", ("DISTIL-08",), lambda s: s["student_loops"] is None),
    ("masked_objective", ("MASK-04",), lambda s: s["student_loops"] is not None and s["label_smoothing"]),
    ("masked_objective", ("DISTIL-01", "DISTIL-02", "DISTIL-05"), lambda s: s["student_loops"] is not None),
    ("masked_gradient", ("DISTIL-03", "DISTIL-04"), lambda s: s["student_loops"] is not None),
    ("masked_sample", ("CLIP-03",), lambda s: len(s["model"]["grid"]) == 3),
    ("masked_sample", ("GUIDE-03",), lambda s: s["sampling"]["guidance_schedule"] == "ramp"),
    ("denoise_step", ("DENOISE-02",), lambda s: s["last"] or s["diffusion"]["clip"] is not None),
    ("denoise_step", ("DENOISE-03",), lambda s: s["diffusion"]["sampler"] == "ddim"),
    ("denoise_step", ("DENOISE-01",), lambda s: s["diffusion"]["sampler"] != "ddim"),
    ("guide", ("GUIDE-02",), lambda s: s["scale"] in {0.0, 1.0}),
)
"""Clauses that only some questions of an operation are about, and when."""


def subjects(operation: str, settings: Settings, inputs: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Return the clauses that a question is about, the narrowest first."""
    some = [clause for name, own, holds in SOME if name == operation and holds(settings) for clause in own]
    if operation == "masked_forward" and (inputs["labels"] == settings["model"]["classes"]).any():
        some.append("DROP-01")
    return (*some, *TABLE[operation].about)
