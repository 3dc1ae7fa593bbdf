"""``elt-ref show``: an equation or algorithm with a worked number and the pages' lines, a choice, an idea, a word."""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from elt_ref.config import DiffusionConfig, DriftingConfig, load_preset
from elt_ref.errors import RequestError, nearest
from elt_ref.generation import denoise_step, sample, step_variance
from elt_ref.model import apply_block, init_parameters, loop_states
from elt_ref.objective import (
    Batch,
    DiffusionTarget,
    DriftingTarget,
    LossTerms,
    MaskedTarget,
    draw,
    draw_student_loops,
    drift_field,
    ilsd_loss,
)
from elt_ref.objective.drifting import affinities
from elt_ref.ops import counting
from elt_ref.run.idea import shipped_ideas
from elt_ref.run.page_lines import excerpts
from elt_ref.run.specs import choices, equations, glossary
from elt_ref.schedules import mask_lengths
from elt_ref.streams import stream
from elt_ref.training import init_state, train_step


def _entries() -> dict[str, Any]:
    return {**glossary(), **equations(), **choices(), **shipped_ideas()}


def _key(name: str) -> str | None:
    """Return the name as it is written: case does not matter, nor whether a word's parts are joined by hyphens."""
    written = {key.lower(): key for key in _entries()}
    return written.get(name.lower()) or written.get(name.lower().replace("-", " "))


def knows(name: str) -> bool:
    """Return whether an equation, an algorithm, a choice, a shipped idea or a word of the glossary has this name."""
    return _key(name) is not None


def show(name: str, also: Iterable[str] = (), *, page: bool = True) -> str:
    """Return the text of an equation (``E5``), an algorithm (``A1``), a choice, an idea or a word of the glossary.

    Args:
        name: its name.
        also: names that others know, for the message.
        page: whether to show the pages' lines.

    Raises:
        RequestError: there is none of that name.
    """
    if (key := _key(name)) is None:
        known = [*equations(), *choices()]
        near = nearest(name, [*known, *glossary(), *shipped_ideas(), *also])
        raise RequestError(
            f"show: expected one of {', '.join(known)}, a clause, an operation, a known mistake, an idea or a word "
            f"of the glossary, got '{name}'{near}"
        )
    entry = _entries()[key]
    if isinstance(entry, str):
        return f"{key}\n\n{entry}"
    if "meaning" in entry:
        about = [f"{heading:<9}{entry[heading]}" for heading in ("symbol", "in code") if entry[heading]]
        return "\n".join([key, "", entry["meaning"], *([""] if about else []), *about])
    pages = "".join(
        f"\n\nelt_ref/paper/{excerpt.page}, line {excerpt.first}\n\n{_indented(excerpt.text)}"
        for excerpt in (excerpts(key) if page else [])
    )
    return (
        f"{key} · {entry['title']}\n\n{_indented(entry['formula'].strip())}\n\nSource   {entry['source']}\n"
        f"Owner    {entry['owner']}\nWorked   {WORKED[key]()}{pages}"
    )


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())


def _worked_decoding() -> str:
    unknown = np.array([16])
    lengths = []
    for step in range(8):
        unknown = mask_lengths(np.array([16]), unknown, step=step, steps=8, precision="float64")
        lengths.append(int(unknown[0]))
    return f"16 tokens in K = 8 steps; still masked after each: {lengths}; the answer comes before the last re-mask"


LAYERS: list[Callable[[int], int]] = [lambda x: 2 * x, lambda x: x + 1]
"""Two layers one can do in one's head: f_θ1(x) = 2x, f_θ2(x) = x + 1."""


def _block(x: int) -> int:
    return apply_block(lambda layer, state: layer(state), LAYERS, x)


def _worked_block() -> str:
    return f"f_θ1(x) = 2x, f_θ2(x) = x + 1: g_Θ(3) = {_block(3)}"


def _worked_loop() -> str:
    states = list(loop_states(_block, 3, 3))
    return f"the block of E3 from x = 3: states after 1, 2, 3 loops are {states}; F_(2,3)(3) = {states[-1]}"


class _Squares:
    """Squared errors from y = 5: a target for mental arithmetic."""

    def ground_truth(self, prediction: Any) -> Any:
        return (prediction - 5.0) ** 2

    def distillation(self, student: Any, teacher: Any) -> Any:
        return (student - teacher) ** 2


EXAMPLE = "states 1, 2, 4 (L_max = 3), L_int = 1, y = 5, squared errors"


def _example() -> LossTerms:
    return ilsd_loss(_Squares(), np.array(1.0), np.array(4.0), truth_weight=0.25)


def _worked_ilsd() -> str:
    terms = _example()
    return (
        f"{EXAMPLE}, λ = 0.25: {terms.teacher_truth:g} + 0.25 · {terms.student_truth:g} "
        f"+ 0.75 · {terms.distillation:g} = {terms.total:g}"
    )


def _worked_teacher_truth() -> str:
    return f"{EXAMPLE}: (4 − 5)² = {_example().teacher_truth:g}"


def _worked_student_truth() -> str:
    return f"{EXAMPLE}, λ = 0.25: 0.25 (1 − 5)² = {0.25 * _example().student_truth:g}"


def _worked_self_distillation() -> str:
    return f"{EXAMPLE}, λ = 0.25: 0.75 (1 − 4)² = {0.75 * _example().distillation:g}"


def _worked_training() -> str:
    config = load_preset("digits-masked", {"training.steps": 5, "training.batch_size": 2})
    state, batch = init_state(config), Batch(np.arange(32).reshape(2, 16), np.array([3, 8]))
    with counting() as work:
        infos = []
        for step in range(5):
            state, info = train_step(state, batch, draw(config, step), config=config)
            infos.append(info)
    weights = ", ".join(f"{info.truth_weight:g}" for info in infos)
    loops = ", ".join(str(info.student_loops) for info in infos)
    return (
        f"digits-masked (N = 2, L_max = 4) in 5 steps: λ = {weights}; L_int = {loops}; "
        f"a step calls {work.calls['layer'] // 5} layers and {work.calls['head'] // 5} heads"
    )


def _worked_inference() -> str:
    config = load_preset("digits-masked")
    parameters = init_parameters(config, seed=0)
    calls = []
    for loops in (1, 4, 8):
        with counting() as work:
            sample(parameters, config, np.array([3]), loops=loops)
        calls.append(work.calls["layer"])
    return f"digits-masked (N = 2), K = 8 steps: L = 1, 4, 8 take {calls[0]}, {calls[1]}, {calls[2]} layer calls"


def _worked_draw() -> str:
    generator = stream(0, "show")
    drawn = Counter(draw_student_loops(generator, min_loops=1, max_loops=4) for _ in range(9000))
    counts = ", ".join(f"{loops}: {drawn[loops]}" for loops in sorted(drawn))
    return f"9,000 draws with L_min = 1, L_max = 4 give {counts}; never on 4"


def _worked_truth() -> str:
    logits = np.array([[[0.0, math.log(3)]]])
    value = MaskedTarget(np.array([[1]]), np.array([[True]])).ground_truth(logits)
    return f"P = (1/4, 3/4), y = 1: −log 3/4 = {value:.6f}"


def _worked_distillation() -> str:
    teacher, student = np.array([[[0.0, math.log(3)]]]), np.zeros((1, 1, 2))
    value = MaskedTarget(np.array([[0]]), np.array([[True]])).distillation(student, teacher)
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
    value = DiffusionTarget(np.ones((1, 1, 1, 1)), HALF, PIXELS).ground_truth(np.full((1, 1, 1, 1), 3.0))
    return f"b = 0, t = 1/2 (λ = 0, w = 1/2 without −dλ/dt), x̂ = 3, x_0 = 1: ½ · 2² = {value:.6f}"


def _worked_diffusion_distillation() -> str:
    value = DiffusionTarget(np.ones((1, 1, 1, 1)), HALF, PIXELS).distillation(
        np.full((1, 1, 1, 1), 3.0), np.ones((1, 1, 1, 1))
    )
    return f"the same weight, student 3, teacher 1: {value:.6f}"


LINE = "on a line: generated −1 and 1, real 1"
"""One value a sample: distances 2 and 0 to the real one, 2 to each other; their mean is 3/2."""


def _worked_unit() -> str:
    field = drift_field(np.array([[-1.0], [1.0]]), np.array([[1.0]]), temperatures=(1.0,))
    return f"{LINE}; distances 2, 2, 2, 0 and D = 1: S = {field.scale:g}"


def _worked_affinities() -> str:
    far = -2 / 1.5
    found = affinities(np.array([[-np.inf, far, far], [far, -np.inf, 0.0]]))
    return (
        f"{LINE}, τ = 1, so ℓ = −4/3 at distance 2: from −1, W = √(½ · 1) = {found[0, 1]:.6f} to the generated one and "
        f"√(½ · e^(−4/3) / (e^(−4/3) + 1)) = {found[0, 2]:.6f} to the real one"
    )


def _worked_field() -> str:
    field = drift_field(np.array([[-1.0], [1.0]]), np.array([[2.0]]), temperatures=(1.0,))
    values = field.drift[:, 0] * field.sizes[0]
    return (
        f"on a line: generated −1 and 1, real 2, τ = 1: S = {field.scale:g}, V_τ = ({values[0]:.6f}, {values[1]:.6f})"
    )


def _worked_drift() -> str:
    field = drift_field(np.array([[-1.0], [1.0]]), np.array([[2.0]]), temperatures=(1.0, 0.2))
    return (
        f"the same with τ = 1 and 0.2: root mean squares {field.sizes[0]:.6f} and {field.sizes[1]:.6f}, "
        f"V = ({field.drift[0, 0]:.6f}, {field.drift[1, 0]:.6f})"
    )


def _on_a_line() -> DriftingTarget:
    drifting = DriftingConfig(temperatures=(1.0,), classes_per_step=1, positives=1)
    return DriftingTarget(np.full((1, 1, 1, 1, 1), 2.0), drifting)


def _worked_drifting_truth() -> str:
    value = _on_a_line().ground_truth(np.array([-1.0, 1.0]).reshape(2, 1, 1, 1))
    return f"one τ: the mean of V² after the division is {value:.6f}, wherever the samples lie; with three it differs"


def _worked_drifting_distillation() -> str:
    teacher = np.array([-1.0, 1.0]).reshape(2, 1, 1, 1)
    value = _on_a_line().distillation(teacher + 1, teacher)
    return f"teacher −1 and 1, real 2, so S = 2; student 0 and 2: (1² + 1²) / 2 / 2² = {value:.6f}"


WORKED: dict[str, Callable[[], str]] = {
    "E1": _worked_decoding,
    "E2": _worked_denoising,
    "E3": _worked_block,
    "E4": _worked_loop,
    "E5": _worked_ilsd,
    "E5.1": _worked_teacher_truth,
    "E5.2": _worked_student_truth,
    "E5.3": _worked_self_distillation,
    "E6": _worked_draw,
    "E7": _worked_truth,
    "E8": _worked_distillation,
    "E9": _worked_diffusion_truth,
    "E10": _worked_diffusion_distillation,
    "D1": _worked_unit,
    "D2": _worked_affinities,
    "D3": _worked_field,
    "D4": _worked_drift,
    "D5": _worked_drifting_truth,
    "D6": _worked_drifting_distillation,
    "A1": _worked_training,
    "A2": _worked_inference,
}
"""Numbers worked out by the owners, by id."""
