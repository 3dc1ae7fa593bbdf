"""The elasticity figure: quality and cost against the number of loops."""

import math
from collections.abc import Sequence
from pathlib import Path

from elt_ref.errors import RequestError
from elt_ref.report.figure import (
    FAINT,
    INK,
    MODEL_COLOURS,
    MODEL_MARKERS,
    SHADE,
    Axes,
    honest_values,
    label,
    new_figure,
    own_style,
    save_figure,
    spread,
    tidy,
)
from elt_ref.report.results import (
    LEVEL_WORDS,
    Results,
    check_results,
    columns,
    cost_alike,
    drawn_values,
    ends,
    lone_distance,
    model_label,
    seeded,
)

MOST_TICKS = 12


@own_style()
def draw_elasticity(path: Path, results: Results, real_distance: float, max_loops: int) -> None:
    """Write ``elasticity.png``: Fréchet distance and, below it, label accuracy against the loops L.

    The top axis gives the FLOPs per sample at each L. A dashed line marks the distance between real pictures and real
    pictures, a vertical line marks L_max, and everything beyond it is shaded. The distance axis starts at 0; if
    distances differ by more than a factor of 20, it is logarithmic and says so. A model with several seeds has a band.

    Args:
        path: The PNG to write.
        results: Rows per model (`elt_ref.report.results.Row`), the same loops for all.
        real_distance: Fréchet distance of held-out real pictures against the training pictures, from 0.
        max_loops: L_max, the loops used in training.

    Raises:
        RequestError: If the results are empty or inconsistent, or the file cannot be written.
    """
    loops = check_results(results, max_loops)
    if not math.isfinite(real_distance) or real_distance < 0:
        raise RequestError(f"real_distance: expected a finite number from 0, got {real_distance}")
    figure = new_figure(8.0, 6.2)
    distance_axes, accuracy_axes = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    figure.suptitle("Quality at every number of loops", x=0.02, ha="left", fontsize=13, weight="bold", color=INK)

    names = []
    for place, (name, rows) in enumerate(results.items()):
        colour = MODEL_COLOURS[place % len(MODEL_COLOURS)]
        marker = MODEL_MARKERS[place % len(MODEL_MARKERS)]
        for axes, key in ((distance_axes, "frechet_distance"), (accuracy_axes, "label_accuracy")):
            axes.plot(loops, [row[key] for row in rows], marker=marker, color=colour, linewidth=2, markersize=5)
            if any("intervals" in row for row in rows):
                low, high = zip(*(ends(row, key) for row in rows), strict=True)
                axes.fill_between(loops, low, high, color=colour, alpha=0.2, linewidth=0)
        names.append((rows[-1]["frechet_distance"], label(model_label(name)), colour))

    distance_axes.axhline(real_distance, color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
    names.append((real_distance, f"real pictures\n({lone_distance(real_distance)})", INK))
    scale = honest_values(distance_axes, [*drawn_values(results, "frechet_distance"), real_distance])
    distance_axes.set_ylabel(f"Fréchet distance{scale}\n(lower is better)", fontsize=10, color=INK)
    accuracy_axes.set_ylim(-0.04, 1.04)
    accuracy_axes.set_ylabel("label\naccuracy", fontsize=10, color=INK)
    over = f"; bands: {LEVEL_WORDS}" if seeded(results) else ""
    accuracy_axes.set_xlabel(f"loops L{over}", fontsize=10, color=INK)

    for axes in (distance_axes, accuracy_axes):
        tidy(axes)
        _mark_training(axes, loops, max_loops)
    distance_axes.annotate(
        f"trained with Lₘₐₓ = {max_loops} loops",
        (max_loops, 1),
        xycoords=("data", "axes fraction"),
        xytext=(5, -11) if max_loops <= (loops[0] + loops[-1]) / 2 else (-5, -11),
        textcoords="offset points",
        ha="left" if max_loops <= (loops[0] + loops[-1]) / 2 else "right",
        fontsize=9,
        color=INK,
    )
    _show_flops(distance_axes, results, _ticks(loops, max_loops))
    _label_ends(distance_axes, names)
    save_figure(figure, path)


def _mark_training(axes: Axes, loops: Sequence[int], max_loops: int) -> None:
    low, high = loops[0] - 0.35, max(loops[-1], max_loops) + 0.35
    axes.set_xlim(low, high)
    axes.axvspan(max_loops, high, color=SHADE, zorder=0)
    axes.axvline(max_loops, color=INK, linewidth=1)
    axes.set_xticks(_ticks(loops, max_loops))


def _ticks(loops: Sequence[int], max_loops: int) -> Sequence[int]:
    """Return the loop counts to label: all, or every second, third, … including L_max if all are too many."""
    stride = math.ceil(len(loops) / MOST_TICKS)
    start = loops.index(max_loops) % stride if max_loops in loops else 0
    return loops[start::stride]


def _show_flops(axes: Axes, results: Results, ticks: Sequence[int]) -> None:
    """Write the cost of L loops above L; cost is affine in L, so both share one axis."""
    flops = columns(results)["gflops_per_sample"]
    costs = {row["loops"]: flops.show(row) for row in next(iter(results.values()))}
    top = axes.secondary_xaxis("top")
    top.set_xticks(ticks, labels=[costs[count] for count in ticks])
    whose = "" if cost_alike(results) else f" of {label(model_label(next(iter(results))))}"
    top.set_xlabel(f"{flops.unit} per sample{whose}", fontsize=10, color=INK)
    top.tick_params(colors=FAINT, labelsize=8)
    top.spines["top"].set_color(FAINT)


def _label_ends(axes: Axes, names: list[tuple[float, str, str]]) -> None:
    """Write each line's name to the right of its end; names that would overlap are moved apart."""
    heights = [axes.transAxes.inverted().transform(axes.transData.transform((0, value)))[1] for value, _, _ in names]
    for height, (_, words, colour) in zip(spread(heights, gap=0.1), names, strict=True):
        axes.annotate(
            words,
            (1, height),
            xycoords="axes fraction",
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=10,
            color=colour,
            weight="bold",
            annotation_clip=False,
        )
