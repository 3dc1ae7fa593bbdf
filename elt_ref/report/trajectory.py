"""The trajectory figure: one sample, refined by loops within a step and by steps within the sampler."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from elt_ref.errors import RequestError
from elt_ref.report.clips import film_strips
from elt_ref.report.figure import FAINT, own_style
from elt_ref.report.pictures import check_pictures, enlarge, scale_to, to_pixels
from elt_ref.report.sheet import Sheet

TILE = 72
MOST_ROWS = 8
MASK_GROUND = (203, 213, 225, 255)
MASK_STRIPE = (148, 163, 184, 255)


@own_style()
def draw_trajectory(
    path: Path,
    answers: np.ndarray,
    kept: np.ndarray,
    *,
    label: str,
    kept_title: str = "kept after the step",
) -> None:
    """Write ``trajectory.png``: a row per sampling step, a column per loop, and at the right the state it kept.

    Args:
        path: The PNG to write.
        answers: Pictures [steps, loops, height, width, channels] in [0, 1]: the model's answer after loop 1..L of
            each sampling step. At most 8 steps are shown, including the first and the last.
            Clips have an axis of frames before the height, and are shown as film strips.
        kept: Pictures [steps, height, width, channels] in [0, 1] after each step, or clips; NaN where still masked.
        label: Name of the sample in the title, such as "class 3".
        kept_title: Title of the last column.

    Raises:
        RequestError: If the arrays do not fit together or the file cannot be written.
    """
    clips = answers.ndim == 6 and kept.ndim == 5
    if clips:
        answers, kept = film_strips(answers), film_strips(kept)
    check_pictures("answers", answers, rank=5)
    check_pictures("kept", kept, masked=True)
    steps, loops = answers.shape[:2]
    if kept.shape != (steps, *answers.shape[2:]):
        raise RequestError(f"kept: expected the shape {(steps, *answers.shape[2:])} of answers, got {kept.shape}")
    shown = np.unique(np.linspace(0, steps - 1, min(steps, MOST_ROWS)).round().astype(int))
    scale = scale_to(2 * TILE if clips else TILE, answers)
    tile_height, tile_width = answers.shape[2] * scale, answers.shape[3] * scale

    margin, names, top, gap, between = 24, 170, 180, 8, 40
    pitch, row_pitch = max(tile_width + gap, 84), max(tile_height, 26) + gap
    kept_left = names + loops * pitch + between
    width = max(kept_left + max(tile_width + margin, 210), 700)
    masked = bool(np.isnan(kept).any())
    height = top + len(shown) * row_pitch + (64 if masked else 20)
    canvas = Sheet(width, height)
    canvas.text("One sample, loop by loop and step by step", margin, 36, 26, weight="bold")
    canvas.text(label, margin, 72, 20, color=FAINT)
    canvas.text("the model's answer after", names, 122, 18, color=FAINT)
    canvas.text(kept_title, kept_left, 152, 18)
    for loop in range(loops):
        words = "1 loop" if loop == 0 else f"{loop + 1} loops"
        canvas.text(words, names + loop * pitch + tile_width // 2, 152, 18, ha="center")

    for row, step in enumerate(shown):
        row_top = top + row * row_pitch
        canvas.text(f"step {step + 1} of {steps}", margin, row_top + tile_height // 2, 18)
        for loop in range(loops):
            canvas.picture(enlarge(to_pixels(answers[step, loop]), scale), names + loop * pitch, row_top)
        canvas.picture(_with_mask(kept[step], scale), kept_left, row_top)

    if masked:
        swatch = _hatch(24, 40)
        canvas.picture(swatch, names, height - 46)
        canvas.text("still masked: the next steps decide", names + 52, height - 34, 18, color=FAINT)
    canvas.save(path)


def _with_mask(
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
