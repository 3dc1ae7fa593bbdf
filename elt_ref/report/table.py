"""The results in a terminal: a table, and sentences on what to look at."""

import math
from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from elt_ref.literal import visible
from elt_ref.report.results import (
    LEVEL_WORDS,
    Column,
    Results,
    Row,
    check_results,
    columns,
    cost_alike,
    ends,
    lone_distance,
    model_label,
    seeded,
    span,
)

SHORT = {"frechet_distance": "dist.", "inception_score": "IS", "label_accuracy": "acc. %", "seconds_per_sample": "time"}
LEFT_OUT_OF_SEEDS = ("inception_score", "seconds_per_sample")
MODEL_STYLES = ("cyan", "yellow")


def results_table(results: Results, real_distance: float, max_loops: int) -> Table:
    """Return a table of all results, a row per loop count, the models side by side; at most 80 characters for two.

    Models that cost differently have a column of their cost each. Intervals over seeds take the place of the inception
    score and of the time.

    Args:
        results: Rows per model (`elt_ref.report.results.Row`), the same loops for all.
        real_distance: Fréchet distance of held-out real pictures against the training pictures.
        max_loops: L_max, the loops used in training; its row is marked.

    Raises:
        RequestError: If the results are empty or inconsistent.
    """
    loops = check_results(results, max_loops)
    formats = columns(results)
    flops, seconds = formats["gflops_per_sample"], formats["seconds_per_sample"]
    several = seeded(results)
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title="Quality at every number of loops",
        title_justify="left",
        caption=(
            f"dist.: Fréchet distance, lower is better; real pictures have {lone_distance(real_distance)}. "
            f"{'' if several else 'IS: inception score. '}"
            f"Cost per sample in {flops.unit if several else f'{flops.unit} and {seconds.unit}'}. "
            f"* marks L_max, the {max_loops} loops used in training."
            f"{f' In brackets: {LEVEL_WORDS}.' if several else ''}"
        ),
        caption_justify="left",
    )
    table.add_column("L", justify="right")
    alike = cost_alike(results)
    short = SHORT if alike else {**SHORT, "gflops_per_sample": flops.unit}
    if several:
        short = {key: heading for key, heading in short.items() if key not in LEFT_OUT_OF_SEEDS}
    if alike:
        table.add_column(flops.unit, justify="right")
    for place, name in enumerate(results):
        for key, heading in short.items():
            above = model_label(name) if key == "frechet_distance" else ""
            unit = f" {seconds.unit}" if key == "seconds_per_sample" else ""
            table.add_column(Text(f"{visible(above)}\n{heading}{unit}"), justify="right", style=MODEL_STYLES[place % 2])
    for at, count in enumerate(loops):
        trained = count == max_loops
        numbers = [_shown(formats[key], rows[at]) for rows in results.values() for key in short]
        cost = [flops.show(next(iter(results.values()))[at])] if alike else []
        table.add_row(f"{'*' if trained else ''}{count}", *cost, *numbers, style="reverse" if trained else "")
    return table


def _shown(column: Column, row: Row) -> str:
    """Return a number; a distance has its interval, for which the other columns have no room."""
    return column.show(row) if column.key == "frechet_distance" else column.text(row[column.key])


def what_to_look_at(results: Results, max_loops: int) -> list[str]:
    """Return one to five plain sentences computed from the numbers, whether or not they support the claim.

    One sentence per model says how far its worst Fréchet distance lies above its best. With exactly two models, another
    says whether the first is the more elastic (its worst is closer to its best) and how often it is better; the next
    compares both at L_max, if L_max was measured; the last says where the intervals over seeds are apart, if both have.

    Args:
        results: Rows per model (`elt_ref.report.results.Row`), the same loops for all; the elastic model first.
        max_loops: L_max, the loops used in training.

    Raises:
        RequestError: If the results are empty or inconsistent.
    """
    loops = check_results(results, max_loops)
    sentences = [_range_of(name, rows, span(loops)) for name, rows in results.items()]
    if len(results) == 2:
        sentences.append(_elasticity(results))
        if max_loops in loops:
            sentences.append(_at_trained_loops(results, loops.index(max_loops), max_loops))
        if all("intervals" in row for rows in results.values() for row in rows):
            sentences.append(_apart(results))
    return sentences


def _range_of(name: str, rows: Sequence[Row], reach: str) -> str:
    best, worst = min(rows, key=_distance), max(rows, key=_distance)
    return (
        f"{model_label(name)}: the worst distance over {reach} is {_number(_distance(worst))} (L = {worst['loops']}), "
        f"{_times(_worst_over_best(rows))} its best, {_number(_distance(best))} (L = {best['loops']})."
    )


def _elasticity(results: Results) -> str:
    (elastic_name, elastic), (other_name, other) = results.items()
    label, other_label = model_label(elastic_name), model_label(other_name)
    ratio, other_ratio = _worst_over_best(elastic), _worst_over_best(other)
    better = [row["loops"] for row, rival in zip(elastic, other, strict=True) if _distance(row) < _distance(rival)]
    holds = ratio < other_ratio
    verdict = (
        f"{label} is the more elastic" if holds else f"The claim does not hold here: {label} is not the more elastic"
    )
    wins = f"at {len(better)} of {len(elastic)} loop counts" + (
        f" (L = {', '.join(map(str, better))})" if better else ""
    )
    joint = "and" if holds == (2 * len(better) > len(elastic)) else "but"
    return (
        f"{verdict}: its distance varies by {_times(ratio)}, the distance of {other_label} by {_times(other_ratio)}, "
        f"{joint} {label} is the better {wins}."
    )


def _at_trained_loops(results: Results, at: int, max_loops: int) -> str:
    (elastic_name, elastic), (other_name, other) = results.items()
    label, other_label = model_label(elastic_name), model_label(other_name)
    distance, rival = _distance(elastic[at]), _distance(other[at])
    numbers = f"{_number(distance)} against {_number(rival)}"
    start = f"At the L = {max_loops} of training"
    if math.isclose(distance, rival, rel_tol=0.02):
        return f"{start} {label} and {other_label} are level, {numbers}."
    return f"{start} {label} is {'ahead of' if distance < rival else 'behind'} {other_label}, {numbers}."


def _apart(results: Results) -> str:
    one, other = results.values()
    intervals = [[ends(row, "frechet_distance") for row in pair] for pair in zip(one, other, strict=True)]
    clear = [
        row["loops"]
        for row, ((low, high), (below, above)) in zip(one, intervals, strict=True)
        if high < below or above < low
    ]
    where = f" (L = {', '.join(map(str, clear))})" if clear else ""
    return f"The intervals over seeds are apart at {len(clear)} of {len(one)} loop counts{where}."


def _distance(row: Row) -> float:
    return row["frechet_distance"]


def _worst_over_best(rows: Sequence[Row]) -> float:
    best = min(map(_distance, rows))
    return max(map(_distance, rows)) / best if best > 0 else math.inf


def _number(value: float) -> str:
    return f"{value:.3g}"


def _times(ratio: float) -> str:
    return f"{ratio:.1f}x" if ratio < 100 else f"{ratio:.0f}x"
