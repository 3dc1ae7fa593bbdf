"""The figures: ratios to the peers, and the looped network against the unlooped one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from elt_ref.bench.document import LoopPoint, Result
from elt_ref.report.figure import (
    FAINT,
    INK,
    MODEL_COLOURS,
    MODEL_MARKERS,
    Axes,
    NullLocator,
    label,
    new_figure,
    own_style,
    save_figure,
    tidy,
)

RATIO_TICKS = (0.125, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 8)


@own_style()
def draw_ratios(path: Path, results: Sequence[Result]) -> None:
    """Write a PNG of our time over each peer's, a row for each work, family and size, on a logarithmic axis.

    A mark is the median of the pairs, a bar their quartiles; left of the line at 1 we are faster.

    Args:
        path: The PNG to write.
        results: At least one with a ratio; results without one are left out.

    Raises:
        RequestError: If the file cannot be written.
    """
    rows = list(dict.fromkeys(_label(result) for result in results if result.ratio_median is not None))
    peers = list(dict.fromkeys(result.peer for result in results if result.ratio_median is not None))
    figure = new_figure(8.0, 1.7 + 0.3 * len(rows))
    axes = figure.subplots()
    figure.suptitle("Our time over the peer's", x=0.02, ha="left", fontsize=13, weight="bold", color=INK)
    for place, peer in enumerate(peers):
        drawn = [result for result in results if result.peer == peer and result.ratio_median is not None]
        medians = [result.ratio_median or 0 for result in drawn]
        lows = [median - (result.ratio_low or 0) for median, result in zip(medians, drawn, strict=True)]
        highs = [(result.ratio_high or 0) - median for median, result in zip(medians, drawn, strict=True)]
        axes.errorbar(
            medians,
            [rows.index(_label(result)) for result in drawn],
            xerr=[lows, highs],
            fmt=MODEL_MARKERS[place % len(MODEL_MARKERS)],
            color=MODEL_COLOURS[place % len(MODEL_COLOURS)],
            markersize=6,
            label=label(peer or ""),
        )
    axes.axvline(1, color=INK, linewidth=1.2)
    tidy(axes)
    axes.set_yticks(range(len(rows)), labels=rows)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    _ratio_axis(axes, results)
    axes.set_xlabel(
        "our seconds ÷ the peer's seconds, log scale (left of 1: faster than the peer)", fontsize=10, color=INK
    )
    figure.legend(loc="outside upper right", ncols=len(peers), frameon=False, fontsize=9, labelcolor=INK)
    save_figure(figure, path)


def _label(result: Result) -> str:
    return f"{result.work}  {result.family} {result.size}"


def _ratio_axis(axes: Axes, results: Sequence[Result]) -> None:
    values = [
        1.0,
        *(value for result in results for value in (result.ratio_low, result.ratio_high) if value is not None),
    ]
    low, high = min(values) / 1.15, max(values) * 1.15
    ticks = [tick for tick in RATIO_TICKS if low <= tick <= high]
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_xticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


@own_style()
def draw_loop_cache(path: Path, points: Sequence[LoopPoint], caches: Mapping[str, int]) -> None:
    """Write a PNG of the looped network's throughput over the unlooped one's against width, a line for each input.

    A dashed vertical marks the width at which the weights of the looped block fill a cache; a dotted one, the width at
    which the weights of the unlooped network do.

    Args:
        path: The PNG to write.
        points: At least one.
        caches: Bytes by level.

    Raises:
        RequestError: If the file cannot be written.
    """
    figure = new_figure(8.0, 4.8)
    axes = figure.subplots()
    title = f"{points[0].layers} layer × {points[0].loops} loops against {points[0].layers * points[0].loops} layers"
    figure.suptitle(title, x=0.02, ha="left", fontsize=13, weight="bold", color=INK)
    for place, rows in enumerate(dict.fromkeys(point.rows for point in points)):
        line = [point for point in points if point.rows == rows]
        colour, marker = MODEL_COLOURS[place % len(MODEL_COLOURS)], MODEL_MARKERS[place % len(MODEL_MARKERS)]
        widths = [point.width for point in line]
        axes.plot(
            widths,
            [point.ratio_median for point in line],
            color=colour,
            marker=marker,
            linewidth=2,
            label=f"batch {line[0].batch} × {line[0].tokens} tokens",
        )
        axes.fill_between(
            widths, [point.ratio_low for point in line], [point.ratio_high for point in line], color=colour, alpha=0.15
        )
    axes.axhline(1, color=INK, linewidth=1.2)
    tidy(axes)
    axes.set_xscale("log", base=2)
    widths = sorted({point.width for point in points})
    axes.set_xticks(widths, labels=[str(width) for width in widths])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(widths[0] / 1.15, widths[-1] * 1.15)
    axes.set_ylim(0, 1.25 * max(point.ratio_high for point in points))
    axes.set_xlabel("width d, log scale", fontsize=10, color=INK)
    axes.set_ylabel("throughput, looped ÷ unlooped", fontsize=10, color=INK)
    _mark_caches(axes, points, caches)
    axes.legend(loc="lower left", frameon=False, fontsize=9, labelcolor=INK)
    save_figure(figure, path)


def _mark_caches(axes: Axes, points: Sequence[LoopPoint], caches: Mapping[str, int]) -> None:
    lowest, highest = axes.get_xlim()
    for name, style, layers in (
        ("looped", "--", points[0].layers),
        ("unlooped", ":", points[0].layers * points[0].loops),
    ):
        for level, size in caches.items():
            width = width_that_fills(size, layers)
            if lowest < width < highest:
                axes.axvline(width, color=FAINT, linewidth=1, linestyle=style)
                axes.annotate(
                    f"{name} fills {level}",
                    (width, 1),
                    xycoords=("data", "axes fraction"),
                    xytext=(3, -4),
                    textcoords="offset points",
                    rotation=90,
                    va="top",
                    fontsize=8,
                    color=FAINT,
                )


def width_that_fills(size: int, layers: int) -> float:
    """Return the width at which the float32 kernels of `layers` layers, 12 d² numbers each, take `size` bytes."""
    return (size / (4 * 12 * layers)) ** 0.5
