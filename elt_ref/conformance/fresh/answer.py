"""The answer to a fresh question, and its tolerance, measured on this very question.

The reference answers in float64, and so do the pages of the paper where they reach; they must agree. The reference's
float32 arithmetic and disturbed last bits show how far honest rounding moves the answer; the tolerance is ROOM times
that. A question is dropped if rounding changes a discrete answer, or leaves nothing to judge: a tie, or a badly
conditioned problem.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from elt_ref.conformance.backend import JUDGED_DTYPES, Unsupported
from elt_ref.conformance.case import Output, Stored, Vector, arguments
from elt_ref.conformance.compare import difference, mismatch
from elt_ref.conformance.fresh.drawer import Drawn
from elt_ref.conformance.paper import PaperBackend
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.errors import RequestError

ROOM = 32.0
"""Twice the room of stored vectors, whose rounding is measured in more trials."""
LEAST = 64.0
"""Smallest tolerance, in units of the dtype's rounding."""
MARGIN, WHOLE_MARGIN = 32.0, 256.0
"""Disturbance of a discrete question, in units of the dtype's rounding: its answer must not change. A whole sampling
passes through many layers, each of which rounds in its own way."""
RATIO = float(np.finfo("float64").eps) / float(np.finfo("float32").eps)
MOST = 1e-3
"""Largest error due to rounding in float32 of a question that is asked."""
DISCRETE = ("decode_step", "masked_sample", "encode_clips", "mask_tokens", "drop_labels")
"""Operations that round, sort or choose by their floating-point arguments."""
TIES = {"mask_tokens": ("order",), "encode_clips": ("clips", "codebook")}
"""Inputs that may hold deliberate ties: if all are quarters, which are exact in every dtype, they are not disturbed."""
PRECISION = "sampling.schedule_precision"
APART = 1e-10
"""Largest error of a page in a well-conditioned question: it has some terms of a loss as differences of losses."""
SCHEDULED = ("decode_step", "masked_sample", "mask_lengths")
"""Operations whose answers depend on that precision."""
SCALES = ("time_scale", "shift", "shift_at_noise", "log_snr_min", "log_snr_max")
"""Settings that schedules multiply or add in float64, whatever the dtype."""
WHY = "a mistake that shows only at some sizes, settings or values, which no stored vector has"

Answer = Mapping[str, np.ndarray]


def answered(clause: str, slug: str, operation: str, drawn: Drawn, precision: str | None) -> Vector | None:
    """Return a question as a vector with its answer and tolerances; None if it must not be asked.

    Args:
        clause: the clause that the question is about.
        slug: its name within the clause.
        operation: operation of the question.
        drawn: the question.
        precision: the declared precision of the mask schedule; None if none is declared.

    Raises:
        RequestError: the reference and the page disagree, so one of them is wrong.
    """
    settings = json.loads(json.dumps(dict(drawn.settings)))
    inputs = {name: _rounded(array) for name, array in drawn.inputs.items()}

    def answer(dtype: str, inputs: Answer, precision: str = precision or "float64", way: int = 0) -> Answer:
        backend: Any = ReferenceBackend()
        backend.choices = {PRECISION: precision}
        with np.errstate(all="ignore"):
            answers = getattr(backend, operation)(**arguments(_shifted(settings, way), inputs, dtype))
        return {name: np.asarray(value) for name, value in answers.items()}

    right = answer("float64", inputs)
    if any(not np.isfinite(value).all() for value in right.values() if np.issubdtype(value.dtype, np.floating)):
        return None
    if precision is None and operation in SCHEDULED:
        other = answer("float64", inputs, "float32")
        if difference(operation, settings, other, right)[0]:
            return None
    if operation == "mask_lengths" and _near_an_integer(inputs["start"], settings["steps"]):
        return None
    noise = _noise(operation, settings, inputs, right, answer)
    if noise is None:
        return None
    tolerance = {
        dtype: float(f"{max(ROOM * noise[dtype], LEAST * np.finfo(dtype).eps / 2):.2e}") for dtype in JUDGED_DTYPES
    }
    paged = precision != "float32" or operation not in SCHEDULED
    agreement = _agreement(operation, settings, arguments(settings, inputs, "float64"), right) if paged else None
    most = max(APART, tolerance["float64"])
    if (agreement or 0.0) > most:
        expected = f"expected the reference and the page to agree within {most:.2g}"
        raise RequestError(f"{slug}: {expected}, got a difference of {agreement:.2g}, a mistake of elt_ref itself")
    stored = Stored(
        format=1,
        clause=clause,
        slug=slug,
        operation=operation,
        why=WHY,
        choice=None,
        settings=settings,
        outputs={
            name: Output(shape=list(value.shape), dtype=value.dtype.name)  # pyright: ignore[reportArgumentType]  checked by pydantic
            for name, value in right.items()
        },
        tolerance=tolerance,
        noise={dtype: float(f"{value:.2e}") for dtype, value in noise.items()},
        agreement=agreement,
    )
    return Vector(stored, inputs, right)


def _noise(
    operation: str,
    settings: Mapping[str, Any],
    inputs: Answer,
    right: Answer,
    answer: Callable[..., Answer],
) -> dict[str, float] | None:
    """Return how far honest rounding moves an answer, by dtype; None if that changes what is discrete, or too much."""
    tied = TIES.get(operation, ())
    steady = tied if all(np.array_equal(4 * inputs[name], np.round(4 * inputs[name])) for name in tied) else ()
    noise = {"float32": 0.0, "float64": 0.0}
    ways = [("float32", 0), ("float32", 1), ("float32", -1), ("float64", 1)]
    if operation in DISCRETE:  # a near tie may withstand one direction
        ways += [("float32", way) for way in (2, -2, 3, -3)]
    for dtype, way in ways if inputs else ():
        times = WHOLE_MARGIN if operation == "masked_sample" else MARGIN if operation in DISCRETE else 1.0
        unit = float(np.finfo(dtype).eps) / 2 * times
        changed = _disturbed(inputs, steady, way, unit)
        trial = answer(dtype, changed, way=way)
        if mismatch(trial, right, None) is not None:
            return None
        noise[dtype] = max(noise[dtype], float(difference(operation, settings, trial, right)[0]))
    if not noise["float32"] <= MOST:
        return None
    # What single precision loses, double loses in proportion: one trial of it alone could be lucky.
    noise["float64"] = max(noise["float64"], noise["float32"] * RATIO)
    return noise


PAPER = PaperBackend()


def _agreement(operation: str, settings: dict[str, Any], keywords: dict[str, Any], right: Answer) -> float | None:
    """Return how far a page's answer is from the reference's; None where no page reaches."""
    method = getattr(PAPER, operation, None)
    if method is None:
        return None
    try:
        with np.errstate(all="ignore"):
            answer = {name: np.asarray(value) for name, value in method(**keywords).items()}
    except Unsupported:
        return None
    return np.inf if mismatch(answer, right, "float64") else float(difference(operation, settings, answer, right)[0])


def _rounded(array: np.ndarray) -> np.ndarray:
    """Return floats rounded to float32, so that every dtype has the same question."""
    return array.astype(np.float32).astype(np.float64) if np.issubdtype(array.dtype, np.floating) else array


def _disturbed(inputs: Answer, steady: Sequence[str], way: int, unit: float) -> Answer:
    """Return inputs whose last bits are changed in a random direction of this number, or in the opposite one."""
    rng = np.random.default_rng([len(inputs), abs(way)])
    return {
        name: array * (1 + np.sign(way) * unit * rng.choice([-1.0, 1.0], size=array.shape))
        if way and name not in steady and np.issubdtype(array.dtype, np.floating)
        else array
        for name, array in inputs.items()
    }


def _shifted(settings: Mapping[str, Any], way: int) -> dict[str, Any]:
    """Return settings with another last bit of the numbers that scale a sampler's own times and levels."""
    factor = 1 + float(np.sign(way)) * np.finfo(np.float64).eps
    return {
        section: {key: value * factor if key in SCALES and value is not None else value for key, value in own.items()}
        if isinstance(own, dict)
        else own
        for section, own in settings.items()
    }


def _near_an_integer(start: np.ndarray, steps: int) -> bool:
    """Return whether a floor of the mask schedule depends on the last bits of a cosine, except at the tie of 2/3."""
    shares = (np.arange(steps) + 1) / steps
    wanted = np.outer(np.cos(np.pi / 2 * shares), start)
    gap = np.abs(wanted - np.round(wanted))
    gap[3 * (np.arange(steps) + 1) == 2 * steps] = 1.0
    gap[-1] = 1.0
    return bool(((gap < 1e-4) & (wanted > 0.5)).any())
