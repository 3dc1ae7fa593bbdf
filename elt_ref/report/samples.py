"""Sample pictures: a plain sheet, and the sheet that compares models at every loop count."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from elt_ref.errors import RequestError
from elt_ref.files import write_bytes
from elt_ref.report.clips import film_strips
from elt_ref.report.figure import FAINT, INK, MODEL_COLOURS, SHADE, own_style
from elt_ref.report.pictures import (
    GAP,
    PicturesByLoops,
    check_pictures,
    check_pictures_by_loops,
    png,
    scale_to,
    sheet,
)
from elt_ref.report.results import model_label
from elt_ref.report.sheet import Sheet

TILE = 64
"""Approximate size in pixels of an enlarged small picture."""
MOST_COLUMNS = 10


def draw_grid(path: Path, pictures: np.ndarray, columns: int | None = None, scale: int | None = None) -> None:
    """Write a plain sheet of pictures as a PNG: only the pictures, row by row, with small white gaps between them.

    Args:
        path: The PNG to write.
        pictures: Pictures [count, height, width, channels] in [0, 1], channels 1 or 3.
        columns: Pictures in a row; by default about as many as rows.
        scale: Whole enlargement, each pixel a square of that side; by default pictures become about 64 pixels large.

    Raises:
        RequestError: If pictures, columns or scale are out of range or the file cannot be written.
    """
    check_pictures("pictures", pictures)
    columns = math.ceil(math.sqrt(len(pictures))) if columns is None else columns
    scale = scale_to(TILE, pictures) if scale is None else scale
    if columns < 1 or scale < 1:
        raise RequestError(f"draw_grid: expected columns and scale of at least 1, got {columns} and {scale}")
    write_bytes(path, png(sheet(pictures, columns, scale)[..., :3]))


@own_style()
def draw_samples(
    path: Path,
    pictures: PicturesByLoops,
    max_loops: int,
    *,
    labels: Sequence[str] | None = None,
) -> None:
    """Write ``samples.png``: a block per model side by side, a row per loop count, a column per noise.

    The row of L_max is framed and the rows beyond it are shaded.

    Args:
        path: The PNG to write.
        pictures: Pictures [count, height, width, channels] in [0, 1] per model and loop count, or clips, with an axis
            of frames before the height, which are shown side by side; all from the same noise. The first 10 pictures
            or 5 clips are shown.
        max_loops: L_max, the loops used in training.
        labels: One short word per picture above its column, such as its class; none by default.

    Raises:
        RequestError: If pictures or labels do not fit together or the file cannot be written.
    """
    loops = check_pictures_by_loops(pictures)
    pictures, clips = _as_pictures(pictures)
    first = pictures[next(iter(pictures))][loops[0]]
    if labels is not None and len(labels) != len(first):
        raise RequestError(f"labels: expected one per picture, {len(first)}, got {len(labels)}")
    columns = min(len(first), MOST_COLUMNS // 2 if clips else MOST_COLUMNS)
    scale = scale_to(2 * TILE if clips else TILE, first)
    tile_height, tile_width = first.shape[1] * scale, first.shape[2] * scale

    margin, names, between = 24, 184, 48
    row_height = max(tile_height, 24) + 2 * GAP
    block_width = columns * (tile_width + GAP) + GAP
    top = 160 if labels is not None else 126
    width = max(names + len(pictures) * (block_width + between) - between + margin, 900)
    height = top + len(loops) * row_height + 64
    canvas = Sheet(width, height)
    canvas.text("The same noise after 1, 2, 3, ... loops", margin, 38, 28, weight="bold")

    for row, count in enumerate(loops):
        row_top = top + row * row_height
        reach = (margin // 2, row_top, width - margin, row_height)
        if count > max_loops:
            canvas.box(*reach, facecolor=SHADE)
        if count == max_loops:
            canvas.box(*reach, facecolor="none", edgecolor=INK, linewidth=1.2, zorder=2)
        words, weight = (f"L = {count} = Lₘₐₓ", "bold") if count == max_loops else (f"L = {count}", "normal")
        canvas.text(words, margin, row_top + row_height // 2, weight=weight)

    for block, (name, by_loops) in enumerate(pictures.items()):
        left = names + block * (block_width + between)
        canvas.text(
            model_label(name), left + GAP, 92, 24, weight="bold", color=MODEL_COLOURS[block % len(MODEL_COLOURS)]
        )
        for column, label in enumerate(labels[:columns] if labels is not None else []):
            canvas.text(
                label, left + GAP + column * (tile_width + GAP) + tile_width // 2, 134, 18, ha="center", color=FAINT
            )
        for row, count in enumerate(loops):
            strip = sheet(by_loops[count][:columns], columns, scale, background=(0, 0, 0, 0))
            canvas.picture(strip, left, top + row * row_height + (row_height - strip.shape[0]) // 2)

    note = f"framed: the {max_loops} loops used in training (Lₘₐₓ = {max_loops})"
    if loops[-1] > max_loops:
        note += "; shaded: more loops than in training"
    if clips:
        note += "; a clip's frames stand side by side"
    canvas.text(note, margin, height - 32, 18, color=FAINT)
    canvas.save(path)


def _as_pictures(samples: PicturesByLoops) -> tuple[PicturesByLoops, bool]:
    """Return pictures unchanged or clips as film strips, and whether they are clips."""
    clips = next(iter(next(iter(samples.values())).values())).ndim == 5
    if not clips:
        return samples, False
    strips = {
        name: {count: film_strips(batch) for count, batch in by_loops.items()} for name, by_loops in samples.items()
    }
    return strips, True
