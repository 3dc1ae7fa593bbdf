"""STEP: the optimiser, clipping, learning rates, the average, and whole trainings."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np

from elt_ref.config import ObjectiveConfig
from specs.making.case import Case
from specs.making.cases.material import (
    diffusion_section,
    integers,
    masked_section,
    noise_section,
    normal,
    parameters,
    training_section,
    uniform,
)

SHAPES = {"block.0.mlp.up.weight": (3, 4), "block.0.mlp.up.bias": (4,), "embedding.label": (2, 3)}
"""A kernel, a bias and an embedding: what decays and what does not."""


def numbers(tree: str, name: str, size: float = 1.0) -> dict[str, np.ndarray]:
    """Return a small tree of normal numbers."""
    return {f"{tree}.{key}": size * normal(f"{name}/{tree}/{key}", *shape) for key, shape in SHAPES.items()}


def optimised(clause: str, slug: str, why: str, step: int, *, gradient: float = 1.0, **changes: Any) -> Case:
    """Return a case of one step of AdamW; at step 0 the moments are zero."""
    first, second = numbers("first", slug, 0.3 * gradient), numbers("second", slug, gradient)
    return Case(
        clause,
        slug,
        "optimizer_step",
        why,
        {"training": training_section(**changes), "step": step},
        {
            **numbers("parameters", slug),
            **numbers("gradient", slug, gradient),
            **{key: value * bool(step) for key, value in first.items()},
            **{key: value**2 * bool(step) for key, value in second.items()},
        },
    )


def clipped(slug: str, why: str, largest: float, *, size: float = 1.0) -> Case:
    """Return a case of clipping; the tensors differ much in size."""
    gradient = numbers("gradient", slug, size)
    gradient["gradient.embedding.label"] = 0.01 * gradient["gradient.embedding.label"]
    return Case("STEP-02", slug, "clip_gradient", why, {"largest": largest}, gradient)


def rates(slug: str, why: str, **changes: Any) -> Case:
    """Return a case of learning rates."""
    return Case("STEP-03", slug, "learning_rates", why, {"training": training_section(**changes)})


def averaged(slug: str, why: str, decay: float) -> Case:
    """Return a case of the moving average."""
    inputs = {**numbers("average", slug), **numbers("parameters", slug)}
    return Case("STEP-04", slug, "moving_average", why, {"decay": decay}, inputs)


def shared(slug: str, why: str, students: tuple[int, ...], processes: int, **changes: Any) -> Case:
    """Return a case of whole steps of the masked family across processes."""
    made = trained("STEP-05", f"across/{slug}", why, students, **changes)
    settings = {"processes": processes, **made.settings}
    return replace(made, clause="STEP-07", slug=slug, operation="masked_training_across", settings=settings)


def trained(
    clause: str,
    slug: str,
    why: str,
    students: tuple[int, ...],
    *,
    batch: int = 2,
    layers: int = 1,
    reduction: Literal["mean_per_sample", "sum"] = "mean_per_sample",
    prediction: str = "x0",
    **changes: Any,
) -> Case:
    """Return a case of several whole steps; ε is large, so that no step is the sign of a rounding error."""
    masked, steps = clause == "STEP-05", len(students)
    name = f"{clause}/{slug}"
    settings: dict[str, Any] = {
        "objective": ObjectiveConfig(label_drop_rate=0.5, reduction=reduction).model_dump(mode="json"),
        "training": training_section(**{"steps": steps + 1, "warmup_steps": 1, "epsilon": 0.01, **changes}),
    }
    inputs: dict[str, np.ndarray] = {
        "labels": integers(f"{name}/labels", 3, steps, batch),
        "label_drop": uniform(f"{name}/label_drop", steps, batch),
        "student_loops": np.array(students),
    }
    if masked:
        model = masked_section(layers=layers, width=4, heads=1, mlp_width=6, codebook_size=5)
        inputs["tokens"] = integers(f"{name}/tokens", 5, steps, batch, 6)
        inputs["mask_ratio"] = uniform(f"{name}/mask_ratio", steps, batch)
        inputs["mask_order"] = uniform(f"{name}/mask_order", steps, batch, 6)
    else:
        small = {"layers": layers, "width": 4, "heads": 1, "mlp_width": 6, "time_features": 4, "time_scale": 10.0}
        model = diffusion_section(**small, shape=[2, 4, 3])
        settings["diffusion"] = noise_section(prediction=prediction)
        inputs["time"] = 0.1 + 0.8 * uniform(f"{name}/time", steps, batch)
        inputs["clean"] = normal(f"{name}/clean", steps, batch, *model["shape"])
        inputs["noise"] = normal(f"{name}/noise", steps, batch, *model["shape"])
    operation = "masked_training" if masked else "diffusion_training"
    return Case(clause, slug, operation, why, {"model": model, **settings}, {**parameters(model, name), **inputs})


TWELVE = (2, 1, 2, 2, 1, 1, 2, 1, 2, 1, 1, 2)
"""Students of twelve steps."""

CASES = (
    optimised("STEP-01", "first", "the first step, moments of zero: bias correction", 0, weight_decay=0.0),
    optimised("STEP-01", "sixth", "a later step: corrections by the number of the step, from 1", 5, weight_decay=0.0),
    optimised(
        "STEP-01",
        "large-epsilon",
        "an ε as large as the root: outside of it",
        2,
        gradient=0.1,
        epsilon=0.05,
        beta1=0.8,
        beta2=0.95,
        weight_decay=0.0,
    ),
    optimised("STEP-01", "decay", "decay of kernels, by the learning rate, past the moments", 1, weight_decay=0.3),
    optimised("STEP-01", "first-decay", "decay in the first step, in the warm-up", 0, weight_decay=0.5, warmup_steps=4),
    optimised("STEP-01", "last-decay", "decay at the small rate of the last step", 7, weight_decay=1.0),
    optimised("STEP-01", "constant", "a later step at a constant rate", 6, weight_decay=0.1, schedule="constant"),
    clipped("above", "a norm above the largest: one factor for all tensors", 1.5),
    clipped("below", "a norm below the largest: nothing changes", 20.0),
    clipped("zero", "a gradient of zero, whose norm divides nothing", 1.5, size=0.0),
    clipped("far-above", "a norm far above the largest", 0.01),
    rates("cosine", "warm-up from one W-th, then a cosine that is zero one step after the last"),
    rates("no-warmup", "a cosine from the first step on", warmup_steps=0, steps=5),
    rates("constant", "a constant rate after the warm-up", schedule="constant", warmup_steps=3),
    rates("long-warmup", "a warm-up that never ends", steps=4, warmup_steps=10),
    averaged("nine-tenths", "the decay goes with the average, not with the parameters", 0.9),
    averaged("none", "a decay of zero: the parameters themselves", 0.0),
    averaged("long", "a decay of 0.999: hardly anything of the parameters", 0.999),
    trained("STEP-05", "three-steps", "three steps of the masked family, each with draws of its own", (2, 1, 2)),
    trained(
        "STEP-05",
        "clipped",
        "two steps with a small norm, batch of one, decay: clip, then Adam, then the average",
        (1, 2),
        batch=1,
        gradient_clip=0.05,
        average_decay=0.5,
        steps=2,
    ),
    trained("STEP-05", "sum", "two steps of a loss that is a sum", (2, 1), batch=1, reduction="sum"),
    trained("STEP-05", "constant", "two steps at a constant rate", (1, 2), batch=1, schedule="constant"),
    trained(
        "STEP-05", "two-layers", "twelve steps of two layers, each of which learns", TWELVE, layers=2, warmup_steps=4
    ),
    trained(
        "STEP-06", "two-layers", "twelve steps of two layers, each of which learns", TWELVE, layers=2, warmup_steps=4
    ),
    trained("STEP-06", "three-steps", "three steps of the diffusion family, each with draws of its own", (1, 2, 1)),
    trained(
        "STEP-06",
        "clipped",
        "two steps with a small norm, batch of one, decay: clip, then Adam, then the average",
        (2, 1),
        batch=1,
        gradient_clip=0.05,
        average_decay=0.5,
        steps=2,
    ),
    trained("STEP-06", "sum", "two steps of a loss that is a sum", (2, 1), batch=1, reduction="sum"),
    trained("STEP-06", "constant", "two steps at a constant rate", (1, 2), batch=1, schedule="constant"),
    trained("STEP-06", "epsilon", "two steps of a network that predicts ε", (1, 2), batch=1, prediction="epsilon"),
    trained("STEP-06", "v", "two steps of a network that predicts v", (1, 2), batch=1, prediction="v"),
    shared("two", "two steps of two processes with two rows each", (2, 1), 2, batch=4, gradient_clip=50.0),
    shared(
        "clipped",
        "two processes and a small norm: averaged first, then clipped",
        (1, 2),
        2,
        gradient_clip=0.05,
        average_decay=0.5,
        steps=2,
    ),
    shared("three", "three processes of one row each", (2, 1), 3, batch=3),
    shared("sum", "two processes and a loss that is a sum", (1, 2), 2, reduction="sum"),
    shared("constant", "two processes at a constant rate", (2, 1), 2, schedule="constant"),
)
