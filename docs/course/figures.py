"""Figures of the course: transparent, with grey text, so that they stand on a light and on a dark page.

The same model has the same colour in every chapter. `show` returns what a notebook displays; when
``ELT_COURSE_PICTURES`` names a folder, it also writes the picture there, for readers on a code host.
"""

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

GREY = "#7a7a7a"
COLOURS = ("#2f8fd0", "#e06c1f", "#17a37a", "#c774a8", "#a08a12", "#7a7a7a")
"""Blue is always ILSD, orange always the plain (vanilla) looped transformer; the others are a chapter's own."""
MARKERS = ("o", "s", "^", "D", "v", "P")
STYLE = {
    "figure.dpi": 150,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "text.color": GREY,
    "axes.labelcolor": GREY,
    "axes.edgecolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "font.size": 9,
    "lines.linewidth": 1.6,
}


class Picture:
    """A drawn figure, as a notebook displays it."""

    def __init__(self, png: bytes, width: int) -> None:
        self.png, self.width = png, width

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        return self.png, {"width": self.width}


def panels(count: int = 1, width: float = 7.4, height: float = 2.9) -> tuple[Figure, list[Axes]]:
    """Return a figure and its panels, side by side."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, list(np.atleast_1d(figure.subplots(1, count)))


def lines(
    axes: Axes, rows: Mapping[str, Mapping[float, float]], *, x: str, y: str, title: str = "", log: bool = False
) -> None:
    """Draw one line for each row, from its keys to its values; a second line of the same model is dashed."""
    others, used = iter(COLOURS[2:] if any(model_colour(name) for name in rows) else COLOURS), set()
    for (name, row), marker in zip(rows.items(), MARKERS, strict=False):
        colour = model_colour(name) or next(others)
        style = "--" if colour in used else "-"
        used.add(colour)
        axes.plot(list(row), list(row.values()), style, color=colour, marker=marker, markersize=4, label=name)
    axes.set(xlabel=x, ylabel=y, title=title, yscale="log" if log else "linear")
    if all(isinstance(key, int) for row in rows.values() for key in row):
        axes.xaxis.set_major_locator(MaxNLocator(5 if max(max(row) for row in rows.values()) > 99 else 9, integer=True))
    if len(rows) > 1:
        axes.legend(labelcolor=GREY, frameon=False)


def model_colour(name: str) -> str | None:
    """Return the colour of the model that a row's name begins with, or None."""
    return {"ILSD": COLOURS[0], "plain": COLOURS[1]}.get(name.partition(",")[0])


def tiles(axes: Axes, pictures: np.ndarray, *, columns: int, title: str = "", rows: Sequence[str] = ()) -> None:
    """Draw pictures [count, height, width, 1] in [0, 1], ink dark, in rows of `columns` with a gap between them."""
    count, height, width = pictures.shape[:3]
    sheet = np.full((-(-count // columns) * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for number, picture in enumerate(pictures):
        top, left = number // columns * (height + 1), number % columns * (width + 1)
        sheet[top : top + height, left : left + width] = 1 - picture[..., 0]
    shown = np.ma.masked_invalid(sheet)
    axes.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(title)
    axes.set_xticks([])
    axes.set_yticks([number * (height + 1) + height / 2 - 0.5 for number in range(len(rows))], rows)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def show(figure: Figure, name: str) -> Picture:
    """Draw a figure for the notebook, and into the folder ``ELT_COURSE_PICTURES`` if there is one."""
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE):
        FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    if folder := os.environ.get("ELT_COURSE_PICTURES"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        Path(folder, f"course-{name}.png").write_bytes(buffer.getvalue())
    return Picture(buffer.getvalue(), round(figure.get_figwidth() * 100))
