"""Figures through matplotlib's object API: no pyplot, no global state; the same data give the same bytes."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from elt_ref.errors import RequestError
from elt_ref.files import write_bytes
from elt_ref.literal import visible

try:
    import matplotlib.style  # noqa: F401  the user's styles, which `rcdefaults` loads
    from matplotlib import rc_context, rcdefaults
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties, findfont, get_font
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.patches import Rectangle
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator
    from matplotlib.transforms import IdentityTransform, ScaledTranslation, Transform
except ValueError as error:
    raise RequestError(f"matplotlib: expected settings that it can read (matplotlibrc, styles), got {error}") from error

__all__ = ["Axes", "Figure", "IdentityTransform", "LogLocator", "MaxNLocator", "NullLocator", "Rectangle"]
"""Names of matplotlib, which reads the user's settings when it is loaded: that is here, once."""

INK = "#1f2430"
FAINT = "#6b7280"
SHADE = "#fff1d6"
"""Background beyond L_max."""

MODEL_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
"""Okabe and Ito's palette, distinct under every common colour blindness; strongest contrast to white first."""
MODEL_MARKERS = ("o", "s", "^", "D")

ZERO_WIDTH = "\u200b"
"""A space without width."""

LOG_RATIO = 20
"""A value axis is logarithmic when its largest number is more than this many times its smallest."""
FEW_RATIO = 1000
"""Up to this ratio a logarithmic axis has ticks at 1, 2 and 5 times a power of ten, beyond it at powers."""


@contextmanager
def own_style() -> Iterator[None]:
    """Draw with matplotlib's defaults, whatever a user's matplotlibrc says; put theirs back."""
    with rc_context():
        rcdefaults()
        yield


def new_figure(width: float, height: float, dpi: int = 160) -> Figure:
    """Return an empty white figure of `width` × `height` inches that arranges its own panels."""
    engine = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)
    return Figure(figsize=(width, height), dpi=dpi, layout=engine, facecolor="white")


def save_figure(figure: Figure, path: Path) -> None:
    """Draw `figure` with Agg and write it to `path` as a PNG, atomically.

    Raises:
        RequestError: If the file cannot be written.
    """
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    write_bytes(path, buffer.getvalue())


def label(words: str) -> str:
    """Return a text of a user for matplotlib to draw as it is; a character that the font lacks becomes its escape.

    Matplotlib sets what stands between two dollars as mathematics, and leaves a line whose label begins with an
    underscore out of the legend.
    """
    known = _characters()
    shown = "".join(
        each if ord(each) in known else each.encode("unicode_escape").decode("ascii") for each in visible(words)
    )
    hidden = ZERO_WIDTH if shown.startswith("_") else ""
    return hidden + shown.replace("$", r"\$")


@cache
def _characters() -> frozenset[int]:
    """Return the code points that the font of our figures has."""
    return frozenset(get_font(findfont(FontProperties())).get_charmap())


def tidy(axes: Axes) -> None:
    """Remove the parts of the frame that carry no information, and add faint horizontal rules."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(axis="y", color="#e5e7eb", linewidth=0.8)
    axes.set_axisbelow(True)


def moved(axes: Axes, points: float) -> Transform:
    """Return the transform of data to places a few points to the right, so that intervals do not hide one another."""
    return axes.transData + ScaledTranslation(points / 72, 0, axes.figure.dpi_scale_trans)


def honest_values(axes: Axes, values: Sequence[float]) -> str:
    """Start the value axis at 0, or make it logarithmic when `values` span more than `LOG_RATIO`.

    Returns:
        The suffix for the axis label: ``", log scale"`` or nothing.
    """
    low, high = min(values), max(values)
    if low > 0 and high > LOG_RATIO * low:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < FEW_RATIO * low else (1,)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(low / 1.5, high * 1.5)
        return ", log scale"
    axes.set_ylim(0, 1.12 * high if high > 0 else 1)
    return ""


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """Return positions moved apart: in the same order, at least `gap` from one another.

    Labels that are too close move away from their common middle, as little as needed.
    """
    order = sorted(range(len(positions)), key=positions.__getitem__)
    groups: list[list[int]] = []
    for place in order:
        groups.append([place])
        while len(groups) > 1 and _low(groups[-1], positions, gap) - _high(groups[-2], positions, gap) < gap:
            last = groups.pop()
            groups[-1] += last
    moved = list(positions)
    for group in groups:
        low = _low(group, positions, gap)
        for rank, place in enumerate(group):
            moved[place] = low + rank * gap
    return moved


def _low(group: list[int], positions: Sequence[float], gap: float) -> float:
    return sum(positions[place] for place in group) / len(group) - gap * (len(group) - 1) / 2


def _high(group: list[int], positions: Sequence[float], gap: float) -> float:
    return _low(group, positions, gap) + gap * (len(group) - 1)
