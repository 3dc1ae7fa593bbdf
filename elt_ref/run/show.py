"""``elt-ref show``: an equation with a number worked out by the function that owns it, or a choice."""

import math
from collections import Counter
from collections.abc import Callable

import numpy as np

from elt_ref.config import DiffusionConfig
from elt_ref.errors import RequestError, nearest
from elt_ref.generation import denoise_step, mask_lengths, step_variance
from elt_ref.model import apply_block, loop_states
from elt_ref.objective import (
    diffusion_distillation,
    diffusion_ground_truth,
    draw_student_loops,
    ilsd_loss,
    masked_distillation,
    masked_ground_truth,
)
from elt_ref.run.specs import choices, equations
from elt_ref.streams import stream


def show(name: str) -> str:
    """Return the text of an equation (``E5``) or a choice (``objective.reduction``).

    Raises:
        RequestError: there is none of that name.
    """
    known = {**equations(), **choices()}
    by_lower = {key.lower(): key for key in known}
    if (key := by_lower.get(name.lower())) is None:
        raise RequestError(f"show: expected one of {', '.join(known)}, got '{name}'{nearest(name, known)}")
    entry = known[key]
    if isinstance(entry, str):
        return f"{key}\n\n{entry}"
    formula = "\n".join(f"    {line}" for line in entry["formula"].strip().splitlines())
    return (
        f"{key} · {entry['title']}\n\n{formula}\n\nSource   {entry['source']}\nOwner    {entry['owner']}\n"
        f"Worked   {WORKED[key]()}"
    )


def _decode_step() -> str:
    unknown = np.array([16])
    lengths = []
    for step in range(8):
        unknown = mask_lengths(np.array([16]), unknown, step=step, steps=8, precision="float64")
        lengths.append(int(unknown[0]))
    return f"16 tokens in K = 8 steps; still masked after each: {lengths}; the answer is taken before the last re-mask"


LAYERS: list[Callable[[int], int]] = [lambda x: 2 * x, lambda x: x + 1]
"""Two layers one can do in one's head: f_θ1(x) = 2x, f_θ2(x) = x + 1."""


def _block(x: int) -> int:
    return apply_block(lambda layer, state: layer(state), LAYERS, x)


def _worked_block() -> str:
    return f"f_θ1(x) = 2x, f_θ2(x) = x + 1: g_Θ(3) = {_block(3)}"


def _worked_loop() -> str:
    states = list(loop_states(_block, 3, 3))
    return f"the block of E3 from x = 3: states after 1, 2, 3 loops are {states}; F_(2,3)(3) = {states[-1]}"


def _worked_ilsd() -> str:
    states = [np.array(value) for value in (1.0, 2.0, 4.0)]
    terms = ilsd_loss(
        states,
        1,
        head=lambda state: state,
        ground_truth=lambda prediction: (prediction - 5.0) ** 2,
        distillation=lambda student, teacher: (student - teacher) ** 2,
        truth_weight=0.25,
    )
    return (
        f"states 1, 2, 4 (L_max = 3), L_int = 1, y = 5, squared errors, λ = 0.25: {terms.teacher_truth:g} "
        f"+ 0.25 · {terms.student_truth:g} + 0.75 · {terms.distillation:g} = {terms.total:g}"
    )


def _worked_draw() -> str:
    generator = stream(0, "show")
    drawn = Counter(draw_student_loops(generator, min_loops=1, max_loops=4) for _ in range(9000))
    counts = ", ".join(f"{loops}: {drawn[loops]}" for loops in sorted(drawn))
    return f"9,000 draws with L_min = 1, L_max = 4 fell on {counts}; never on 4"


def _worked_truth() -> str:
    logits = np.array([[[0.0, math.log(3)]]])
    value = masked_ground_truth(logits, np.array([[1]]), np.array([[True]]))
    return f"P = (1/4, 3/4), y = 1: −log 3/4 = {value:.6f}"


def _worked_distillation() -> str:
    teacher, student = np.array([[[0.0, math.log(3)]]]), np.zeros((1, 1, 2))
    value = masked_distillation(student, teacher, np.array([[True]]))
    return f"teacher (1/4, 3/4), student (1/2, 1/2): log 2 = {value:.6f}"


PIXELS = DiffusionConfig(shift=0.0, bias=0.0, weight_derivative=False)
HALF = np.array([0.5])
"""The time at which an unshifted schedule has λ = 0, so that α² = σ² = 1/2 and w = sigmoid(0) = 1/2."""


def _worked_denoising() -> str:
    noisy, clean = np.full((1, 1, 1, 1), 1.0), np.zeros((1, 1, 1, 1))
    there = math.log(3)  # λ_s, where σ_s² = 1/4
    stepped = denoise_step(
        noisy, clean, np.zeros_like(noisy), log_snr_t=0.0, log_snr_s=there, last=False, diffusion=PIXELS
    )
    variance = step_variance(0.0, there, PIXELS)
    return (
        f"λ_t = 0, λ_s = log 3 (c = 2/3), z_t = 1, x̂ = 0: mean √(3/4) · (1/3) / √(1/2) = {stepped.item():.6f}, "
        f"variance (1/4)(2/3) = {variance:.6f}"
    )


def _worked_diffusion_truth() -> str:
    value = diffusion_ground_truth(np.full((1, 1, 1, 1), 3.0), np.ones((1, 1, 1, 1)), HALF, diffusion=PIXELS)
    return f"b = 0, t = 1/2 (λ = 0, w = 1/2 without −dλ/dt), x̂ = 3, x_0 = 1: ½ · 2² = {value:.6f}"


def _worked_diffusion_distillation() -> str:
    value = diffusion_distillation(np.full((1, 1, 1, 1), 3.0), np.ones((1, 1, 1, 1)), HALF, diffusion=PIXELS)
    return f"the same weight, student 3, teacher 1: {value:.6f}"


WORKED: dict[str, Callable[[], str]] = {
    "E1": _decode_step,
    "E2": _worked_denoising,
    "E3": _worked_block,
    "E4": _worked_loop,
    "E5": _worked_ilsd,
    "E6": _worked_draw,
    "E7": _worked_truth,
    "E8": _worked_distillation,
    "E9": _worked_diffusion_truth,
    "E10": _worked_diffusion_distillation,
}
"""By equation, a number worked out by its owner."""
