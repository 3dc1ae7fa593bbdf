"""The trajectory figure: one sample, refined by loops within a step and by steps within the sampler."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from elt_ref.errors import RequestError
from elt_ref.report.clips import film_strips
from elt_ref.report.figure import FAINT, own_style
from elt_ref.report.pictures import check_pictures, enlarge, scale_to, to_pixels
from elt_ref.report.sheet import Sheet

TILE = 72
MOST_ROWS = 8
MASK_GROUND = (203, 213, 225, 255)
MASK_STRIPE = (148, 163, 184, 255)


class Trajectory(NamedTuple):
    """One sample in the making, and its words."""

    answers: np.ndarray
    """Pictures [steps, loops, height, width, channels] in [0, 1]: the model's answer after loop 1..L of each sampling
    step. Clips have an axis of frames before the height, and are shown as film strips."""
    kept: np.ndarray
    """Pictures [steps, height, width, channels] in [0, 1] after each step, or clips; NaN where still masked."""
    label: str
    """Name of the sample, such as "class 3"."""
    kept_title: str = "kept after the step"
    """Title of the last column."""


@own_style()
def draw_trajectory(path: Path, shown: Trajectory) -> None:
    """Write ``trajectory.png``: a row per sampling step, a column per loop, and at the right the state it kept.

    Args:
        path: The PNG to write.
        shown: The sample. At most 8 steps are shown, including the first and the last.

    Raises:
        RequestError: If the arrays do not fit together or the file cannot be written.
    """
    answers, kept, some = checked(shown.answers, shown.kept)
    steps, loops = answers.shape[:2]
    scale = scale_to(2 * TILE if shown.answers.ndim == 6 else TILE, answers)
    tile_height, tile_width = answers.shape[2] * scale, answers.shape[3] * scale

    margin, names, top, gap, between = 24, 170, 180, 8, 40
    pitch, row_pitch = max(tile_width + gap, 84), max(tile_height, 26) + gap
    kept_left = names + loops * pitch + between
    width = max(kept_left + max(tile_width + margin, 210), 700)
    masked = bool(np.isnan(kept).any())
    height = top + len(some) * row_pitch + (64 if masked else 20)
    canvas = Sheet(width, height)
    canvas.text("One sample, loop by loop and step by step", margin, 36, 26, weight="bold")
    canvas.text(shown.label, margin, 72, 20, color=FAINT)
    canvas.text("the model's answer after", names, 122, 18, color=FAINT)
    canvas.text(shown.kept_title, kept_left, 152, 18)
    for loop in range(loops):
        words = "1 loop" if loop == 0 else f"{loop + 1} loops"
        canvas.text(words, names + loop * pitch + tile_width // 2, 152, 18, ha="center")

    for row, step in enumerate(some):
        row_top = top + row * row_pitch
        canvas.text(f"step {step + 1} of {steps}", margin, row_top + tile_height // 2, 18)
        for loop in range(loops):
            canvas.picture(enlarge(to_pixels(answers[step, loop]), scale), names + loop * pitch, row_top)
        canvas.picture(with_mask(kept[step], scale), kept_left, row_top)

    if masked:
        swatch = _hatch(24, 40)
        canvas.picture(swatch, names, height - 46)
        canvas.text("still masked: the next steps decide", names + 52, height - 34, 18, color=FAINT)
    canvas.save(path)


def checked(
    answers: np.ndarray, kept: np.ndarray
) -> tuple[
    Float[np.ndarray, "steps loops height width channels"],
    Float[np.ndarray, "steps height width channels"],
    Int[np.ndarray, " rows"],
]:
    """Check a sample's pictures; return them, clips as film strips, and the steps to show.

    Raises:
        RequestError: If the arrays do not fit together.
    """
    if answers.ndim == 6 and kept.ndim == 5:
        answers, kept = film_strips(answers), film_strips(kept)
    check_pictures("answers", answers, rank=5)
    check_pictures("kept", kept, masked=True)
    steps = len(answers)
    if kept.shape != (steps, *answers.shape[2:]):
        raise RequestError(f"kept: expected the shape {(steps, *answers.shape[2:])} of answers, got {kept.shape}")
    return answers, kept, np.unique(np.linspace(0, steps - 1, min(steps, MOST_ROWS)).round().astype(int))


def with_mask(
    picture: Float[np.ndarray, "height width channels"], scale: int
) -> UInt8[np.ndarray, "large_height large_width 4"]:
    """Return the enlarged pixels of a picture, hatched where any channel is NaN."""
    masked = np.isnan(picture.sum(axis=-1, keepdims=True))
    pixels = enlarge(to_pixels(np.where(masked, 0.0, picture)), scale)
    return np.where(enlarge(masked, scale), _hatch(*pixels.shape[:2]), pixels)


def _hatch(height: int, width: int) -> UInt8[np.ndarray, "{height} {width} 4"]:
    """Return the pixels of diagonal stripes, in a colour that no grey picture has."""
    rows, columns = np.indices((height, width))
    stripe = (rows + columns) % 12 < 3
    return np.where(stripe[..., None], MASK_STRIPE, MASK_GROUND).astype(np.uint8)
