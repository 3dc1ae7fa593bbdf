"""DRIFT: one-step generation: the network, the field with its unit, the losses and their gradients."""

from typing import Any

import numpy as np

from specs.making.case import Case
from specs.making.cases.material import drifting_section, integers, normal, parameters, uniform

TEMPERATURES = [0.02, 0.05, 0.2]


def network(slug: str, why: str, operation: str, loops: int, batch: int = 2, **changes: Any) -> Case:
    """Return a case of states or of samples."""
    name, model = f"drift-01/{slug}", drifting_section(**changes)
    inputs = {
        **parameters(model, name),
        "noise": normal(f"{name}/noise", batch, *model["shape"]),
        "labels": 1 + integers(f"{name}/labels", model["classes"] - 1, batch),
    }
    return Case("DRIFT-01", slug, operation, why, {"model": model, "loops": loops}, inputs)


def field(
    clause: str,
    slug: str,
    why: str,
    temperatures: list[float],
    queries: int = 5,
    positives: int = 7,
    values: int = 6,
    apart: float = 0.5,
) -> Case:
    """Return a case of the field; real samples are `apart` from the generated ones."""
    name = f"{clause}/{slug}".lower()
    inputs = {
        "queries": 0.7 * normal(f"{name}/queries", queries, values),
        "positives": apart + normal(f"{name}/positives", positives, values),
    }
    return Case(clause, slug, "drift_field", why, {"temperatures": temperatures}, inputs)


def learning(
    clause: str,
    slug: str,
    operation: str,
    why: str,
    *,
    student: int | None,
    weight: float,
    reduction: str = "mean_per_sample",
    temperatures: list[float] = TEMPERATURES,
    classes: int = 2,
    each: int = 3,
    positives: int = 4,
    **changes: Any,
) -> Case:
    """Return a case of a loss or its gradient; the classes differ in spread."""
    name, model = f"{clause}/{slug}".lower(), drifting_section(**({"shape": [2, 4, 3]} | changes))
    spread = np.linspace(0.6, 2, classes).reshape(-1, 1, 1, 1, 1)
    settings = {
        "model": model,
        "temperatures": temperatures,
        "student_loops": student,
        "truth_weight": weight,
        "reduction": reduction,
    }
    inputs = {
        **parameters(model, name, spread=1.5),
        "positives": spread * normal(f"{name}/positives", classes, positives, *model["shape"]),
        "labels": np.argsort(uniform(f"{name}/labels", model["classes"]))[:classes],
        "noise": normal(f"{name}/noise", classes * each, *model["shape"]),
    }
    return Case(clause, slug, operation, why, settings, inputs)


def loss(slug: str, why: str, **made: Any) -> Case:
    """Return a case of the loss and its terms."""
    return learning("DRIFT-06", slug, "drifting_objective", why, **made)


def gradient(slug: str, why: str, **made: Any) -> Case:
    """Return a case of the gradient."""
    return learning("DRIFT-07", slug, "drifting_gradient", why, **made)


CASES = (
    network("states", "time or another label in the conditioning", "drifting_states", 3),
    network("one-loop", "the loops of training at every number of loops", "drifting_forward", 1),
    network("beyond-training", "no more loops than those of training", "drifting_forward", 5, layers=1, batch=3),
    field("DRIFT-02", "one-temperature", "a unit with or without the wrong distances", [0.2]),
    field("DRIFT-02", "few-samples", "a mean in which the own distance weighs much", [0.5], queries=2, positives=1),
    field("DRIFT-02", "many-values", "a unit without the root of the number of values", [0.2], values=48),
    field("DRIFT-03", "warm", "one softmax for two, or the square of the distance", [0.2]),
    field("DRIFT-03", "cold", "a floor under the affinities", [0.05], queries=6, positives=9, values=12),
    field("DRIFT-03", "hot", "a sample that is its own negative", [1.0], queries=3, positives=4),
    field("DRIFT-04", "apart", "attraction and repulsion that do not balance", [0.2], apart=2.0),
    field("DRIFT-04", "alike", "a field that is not zero where both sets are alike", [0.5], apart=0.0),
    field("DRIFT-05", "three-temperatures", "fields of different sizes added as they are", TEMPERATURES),
    field("DRIFT-05", "two-temperatures", "one temperature for all", [0.1, 1.0], queries=4, positives=3),
    loss("between", "a field, a unit or a class of others", student=1, weight=0.4),
    loss("distillation", "λ = 0: the unit of the distillation", student=2, weight=0.0, each=4),
    loss("sum", "the same in sums", student=1, weight=0.75, reduction="sum", layers=1),
    loss("vanilla", "a student where there is none", student=None, weight=1.0, layers=1, classes=3),
    gradient("truth", "λ = 1: a gradient through the field, or none", student=2, weight=1.0, layers=1),
    gradient("distillation", "λ = 0: a teacher that follows its student", student=1, weight=0.0, layers=1),
    gradient("between", "the same at once", student=1, weight=0.4),
    gradient("sum", "the same in sums", student=2, weight=0.6, reduction="sum", layers=1, temperatures=[0.2]),
)
