"""The fields of a row of results, the checks of rows, and the format of their numbers."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from elt_ref.errors import RequestError

Row: TypeAlias = Mapping[str, Any]
"""One model measured at one loop count L.

================== =========================================================
loops              L, an integer from 1
frechet_distance   of generated against training pictures; lower is better
inception_score    1 to the number of classes; higher is better
label_accuracy     share of pictures recognised as the requested class, 0..1
gflops_per_sample  1e9 floating point operations for one picture
seconds_per_sample wall-clock seconds for one picture
valid_share        share of pictures that the data set's rule accepts, 0..1;
                   optional: few data sets have a rule
motion_accuracy    share of clips that move as the data set's rule demands,
                   0..1; optional likewise
intervals          of models with several seeds: by key, both ends of the
                   interval around the mean that the row holds
================== =========================================================
"""

Results: TypeAlias = Mapping[str, Sequence[Row]]
"""Rows per model name, in increasing loop count, the same loop counts for every model."""

KEYS = (
    "loops",
    "frechet_distance",
    "inception_score",
    "label_accuracy",
    "gflops_per_sample",
    "seconds_per_sample",
)

TIME_DIGITS = 2
"""Significant digits of a time, whatever its size: two measurements of one computer differ in the third."""

LEVEL_WORDS = "95 % intervals of the mean over seeds"

MOST_STRETCH = 1.5
"""A value axis reaches at most this many times beyond the means, for the intervals around them."""

BY_RULE = {"valid_share": "valid", "motion_accuracy": "motion"}
"""Headings of the shares that a rule of the data set counts, if it has one."""


@dataclass(frozen=True)
class Column:
    """Format of one number of every row: ``row[key] * factor`` with `decimals` places, in `unit`.

    With `digits`, a number has as many decimals as leave it that many significant digits.
    """

    key: str
    heading: str
    unit: str
    factor: float
    decimals: int
    digits: int | None = None

    def text(self, value: float) -> str:
        """Return the text of `value` (in the row's own unit) in this column, without the unit."""
        value *= self.factor
        if self.digits is None or value == 0:
            return f"{value:.{self.decimals}f}"
        rounded = float(f"{value:.{self.digits - 1}e}")
        return f"{rounded:.{max(0, self.digits - 1 - math.floor(math.log10(rounded)))}f}"

    def show(self, row: Row) -> str:
        """Return the text of this column's number in `row`, without the unit; a mean over seeds with its interval."""
        interval = row.get("intervals", {}).get(self.key)
        limits = "" if interval is None else f" [{'–'.join(map(self.text, interval))}]"
        return self.text(row[self.key]) + limits

    @property
    def title(self) -> str:
        """The heading, with the unit if there is one."""
        return f"{self.heading} ({self.unit})" if self.unit else self.heading


def check_results(results: Results, max_loops: int) -> tuple[int, ...]:
    """Check results against the contract of this module.

    Args:
        results: Rows per model.
        max_loops: L_max, the loops used in training, from 1.

    Returns:
        The loop counts, strictly increasing, which all models share.

    Raises:
        RequestError: If there are no results, a number is missing or not finite, or the models do not share their
            loop counts.
    """
    if max_loops < 1:
        raise RequestError(f"max_loops: expected at least 1, got {max_loops}")
    if not results or not all(results.values()):
        raise RequestError(f"results: expected at least one row per model, got {dict(results)}")
    for name, rows in results.items():
        for place, row in enumerate(rows):
            _check_row(f"results[{name!r}][{place}]", row)

    (first_name, first_rows), *others = results.items()
    loops = tuple(row["loops"] for row in first_rows)
    if loops[0] < 1 or any(later <= earlier for earlier, later in itertools.pairwise(loops)):
        raise RequestError(f"results[{first_name!r}]: expected loops increasing from 1 or more, got {list(loops)}")
    for name, rows in others:
        if tuple(row["loops"] for row in rows) != loops:
            raise RequestError(
                f"results[{name!r}]: expected the loops of {first_name!r}, {list(loops)}, "
                f"got {[row['loops'] for row in rows]}"
            )
    return loops


def cost_alike(results: Results) -> bool:
    """Return whether all models of checked results cost the same at every loop count; one with an idea may not."""
    first, *others = ([row["gflops_per_sample"] for row in rows] for rows in results.values())
    return all(
        math.isclose(one, other, rel_tol=1e-6) for each in others for one, other in zip(each, first, strict=True)
    )


def _check_row(where: str, row: Row) -> None:
    missing = [key for key in KEYS if key not in row]
    if missing:
        raise RequestError(f"{where}: expected the keys {', '.join(KEYS)}, got a row without {', '.join(missing)}")
    for key in KEYS:
        if not math.isfinite(row[key]) or row[key] < 0:
            raise RequestError(f"{where}: expected {key} to be a finite number from 0, got {row[key]}")


def columns(results: Results) -> dict[str, Column]:
    """Choose units and decimals for these results, one choice per column so that numbers line up.

    Args:
        results: Checked results (`check_results`).

    Returns:
        A `Column` for every key except ``loops``, in the order of a table; for ``valid_share`` and ``motion_accuracy``
        only if every row has it.
    """
    rows = [row for rows in results.values() for row in rows]
    values = {key: [row[key] for row in rows] for key in KEYS}
    flops_factor, flops_unit = _unit(
        max(values["gflops_per_sample"]), {1e-3: "TFLOPs", 1.0: "GFLOPs", 1e3: "MFLOPs", 1e6: "kFLOPs"}
    )
    seconds_factor, seconds_unit = _unit(max(values["seconds_per_sample"]), {1.0: "s", 1e3: "ms", 1e6: "µs"})
    chosen = [
        ("frechet_distance", "distance", "", 1.0),
        ("inception_score", "inception score", "", 1.0),
        ("label_accuracy", "accuracy", "%", 100.0),
        *((key, heading, "%", 100.0) for key, heading in BY_RULE.items() if all(key in row for row in rows)),
        ("gflops_per_sample", "compute", flops_unit, flops_factor),
        ("seconds_per_sample", "time", seconds_unit, seconds_factor),
    ]
    return {
        key: Column(
            key,
            heading,
            unit,
            factor,
            1 if unit == "%" else _decimals(values[key], factor),
            TIME_DIGITS if key == "seconds_per_sample" else None,
        )
        for key, heading, unit, factor in chosen
    }


def ends(row: Row, key: str) -> tuple[float, float]:
    """Return the interval of a number of a row; the number itself twice if it has none."""
    low, high = row.get("intervals", {}).get(key, (row[key], row[key]))
    return low, high


def drawn_values(results: Results, key: str) -> list[float]:
    """Return the numbers that a value axis shows: all means, and the intervals as far as they leave the means legible.

    The interval of two seeds can be twenty times as wide as their distance.
    """
    means = [row[key] for rows in results.values() for row in rows]
    low, high = min(means) / MOST_STRETCH, max(means) * MOST_STRETCH
    limits = [end for rows in results.values() for row in rows for end in ends(row, key)]
    return [*means, *(min(max(end, low), high) for end in limits)]


def place(count: int, max_loops: int) -> str:
    """Return the place of a loop count: ``within``, ``trained`` or ``beyond``."""
    return "trained" if count == max_loops else "beyond" if count > max_loops else "within"


def seeded(results: Results) -> bool:
    """Return whether a model of the results stands for several seeds."""
    return any("intervals" in row for rows in results.values() for row in rows)


def _unit(largest: float, units: dict[float, str]) -> tuple[float, str]:
    """Return the coarsest unit in which the largest value is at least 1, or else the finest unit."""
    for factor, unit in units.items():
        if largest * factor >= 1:
            return factor, unit
    return list(units.items())[-1]


def _decimals(values: Sequence[float], factor: float) -> int:
    """Return the decimals, at most 4, that give the smallest positive value three significant digits."""
    smallest = min((value * factor for value in values if value > 0), default=1.0)
    return min(4, max(0, 2 - math.floor(math.log10(smallest))))


def lone_distance(value: float) -> str:
    """Return a distance by itself, which lines up with no column: two decimals, from a hundred on none."""
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def model_label(name: str) -> str:
    """Return a model's name for display: ``ILSD`` is an abbreviation."""
    return "ILSD" if name == "ilsd" else name


def span(loops: Sequence[int]) -> str:
    """Return the loop counts in words: ``L = 1...8`` when consecutive, otherwise all of them."""
    if len(loops) > 2 and loops[-1] - loops[0] == len(loops) - 1:
        return f"L = {loops[0]}...{loops[-1]}"
    return f"L = {', '.join(map(str, loops))}"
