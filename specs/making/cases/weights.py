"""WEIGHT and DIFFDISTIL: loss weights, reductions, and the three terms of the diffusion family."""

from typing import Any

import numpy as np

from specs.making.case import Case
from specs.making.cases.material import diffusion_section, integers, noise_section, normal, parameters

INSIDE = np.array([0.05, 0.35, 0.5, 0.75, 0.95])
ENDS = np.array([0.0, 0.5, 1.0])


def weight(clause: str, slug: str, why: str, time: np.ndarray = INSIDE, **changes: Any) -> Case:
    """Return a case of the loss weight."""
    return Case(clause, slug, "loss_weight", why, {"diffusion": noise_section(**changes)}, {"time": time})


def loss(
    clause: str,
    slug: str,
    why: str,
    *,
    times: tuple[float, ...] = (0.25, 0.6, 0.9),
    student: int | None = 1,
    truth_weight: float = 0.4,
    reduction: str = "mean_per_sample",
    gradient: bool = False,
    noise: dict[str, Any] | None = None,
    **changes: Any,
) -> Case:
    """Return a case of the objective or of its gradient."""
    # A small scale of time keeps its rounding small.
    small = {"layers": 1, "width": 4, "mlp_width": 6, "time_features": 4, "time_scale": 10.0, "shape": [2, 4, 3]}
    model = diffusion_section(**{**small, **changes})
    name = f"{clause}/{slug}"
    return Case(
        clause,
        slug,
        "diffusion_gradient" if gradient else "diffusion_objective",
        why,
        {
            "model": model,
            "diffusion": noise_section(**(noise or {})),
            "student_loops": student,
            "truth_weight": truth_weight,
            "reduction": reduction,
        },
        {
            **parameters(model, name),
            "clean": normal(f"{name}/clean", len(times), *model["shape"]),
            "noise": normal(f"{name}/noise", len(times), *model["shape"]),
            "time": np.array(times),
            "labels": integers(f"{name}/labels", model["classes"], len(times)),
        },
    )


CASES = (
    weight("WEIGHT-01", "no-bias", "b = 0 on x0, both ends of time: the direction of the weight", ENDS, bias=0.0),
    weight("WEIGHT-01", "bias-two", "b = 2 on x0: its sign, and the factor e^b", bias=2.0),
    weight("WEIGHT-01", "negative-bias", "b = −3 on x0 of a batch of one", np.array([0.4]), bias=-3.0),
    weight(
        "WEIGHT-01", "derivative-off", "−dλ/dt switched off, on x0: a factor that is built in", weight_derivative=False
    ),
    weight(
        "WEIGHT-01",
        "derivative-on",
        "−dλ/dt on, with a mixed shift: a positive factor that contains the slope of the shift",
        shift=0.5,
        shift_at_noise=-1.0,
    ),
    weight(
        "WEIGHT-01",
        "derivative-off-v",
        "−dλ/dt switched off, on v",
        prediction="v",
        weight_derivative=False,
    ),
    weight(
        "WEIGHT-01",
        "epsilon",
        "ε with b = 0: sigmoid(b − λ), which is not the weight of x0",
        bias=0.0,
        prediction="epsilon",
    ),
    weight("WEIGHT-01", "epsilon-bias", "ε with b = 2: no e^b is left", bias=2.0, prediction="epsilon"),
    weight("WEIGHT-01", "v", "v with b = 2: sigmoid(λ − b) sigmoid(−λ) e^b", bias=2.0, prediction="v"),
    weight("WEIGHT-01", "v-ends", "v with b = 0 at both ends of time", ENDS, bias=0.0, prediction="v"),
    loss("WEIGHT-02", "mean", "the mean over a sample's values and over the batch"),
    loss("WEIGHT-02", "sum", "the sum over a sample's values, the mean over the batch", reduction="sum"),
    loss("WEIGHT-02", "sum-vanilla", "the sum, without a student", reduction="sum", student=None),
    loss("WEIGHT-02", "epsilon", "the mean of errors of ε", times=(0.4, 0.6), noise={"prediction": "epsilon"}),
    loss("WEIGHT-02", "v", "the mean of errors of v", times=(0.4, 0.6), noise={"prediction": "v"}),
    loss("WEIGHT-02", "mean-of-one", "the mean of a batch of one, where sums over the batch cannot show", times=(0.5,)),
    loss(
        "DIFFDISTIL-01",
        "student-of-two",
        "the truth terms after two and three loops: one noise, one time, one weight a sample",
        student=2,
    ),
    loss(
        "DIFFDISTIL-01",
        "ends-of-time",
        "a sample without noise and one of noise alone",
        times=(0.0, 1.0),
        noise={"shift": -1.0, "bias": 2.0},
    ),
    loss(
        "DIFFDISTIL-01",
        "epsilon",
        "the truth terms of a network that predicts ε, weighed as ε is",
        noise={"prediction": "epsilon", "bias": 2.0},
    ),
    loss(
        "DIFFDISTIL-01",
        "v-without-student",
        "the teacher's term alone, of a network that predicts v",
        student=None,
        noise={"prediction": "v", "bias": 0.0},
    ),
    loss(
        "DIFFDISTIL-01",
        "distillation-alone",
        "λ = 0: the total holds the weighted distillation and nothing of the student's truth",
        truth_weight=0.0,
    ),
    loss(
        "DIFFDISTIL-01",
        "truth-alone",
        "λ = 1: the total holds nothing of the distillation, which is told all the same",
        truth_weight=1.0,
        noise={"prediction": "v"},
    ),
    loss("DIFFDISTIL-01", "sum", "the distillation as a sum, b = 2", reduction="sum", noise={"bias": 2.0}),
    loss(
        "DIFFDISTIL-02",
        "teacher-stopped",
        "λ = 0: the distillation moves the student only, through its own loop",
        truth_weight=0.0,
        gradient=True,
        times=(0.3, 0.7),
    ),
    loss(
        "DIFFDISTIL-02",
        "half",
        "λ = ½, two loops of three: the prediction is stopped, not the state it is made of",
        truth_weight=0.5,
        student=2,
        gradient=True,
        times=(0.6,),
        noise={"prediction": "v"},
    ),
)
