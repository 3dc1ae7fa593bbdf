"""What a study has measured: a row for each quantity of each model, with its values by seed."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from elt_ref.measure.interval import Interval, interval_of, ratio_interval
from elt_ref.study.verdict import bounds

OF_VALUES = ("mean", "low", "high", "values")
"""Keys of a row that are no labels."""


class Rows:
    """Rows with labels (model, measure, loops, …) and one value a seed; a diverged training has none."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.rows = rows

    def labels(self, name: str, **where: Any) -> list[Any]:
        """Return the values of a label among the rows of these labels, each once, in order."""
        return list(dict.fromkeys(row[name] for row in self.matching(where) if name in row))

    def matching(self, where: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Return the rows that have all of these labels."""
        return [row for row in self.rows if all(row.get(name) == value for name, value in where.items())]

    def values(self, measure: str, **where: Any) -> Float[np.ndarray, " seeds"]:
        """Return the values of the one row of these labels; NaN where a training diverged."""
        (row,) = self.matching({"measure": measure, **where})
        return np.array([math.nan if value is None else value for value in row["values"]], float)

    def ratio(self, measure: str, over: Mapping[str, Any], under: Mapping[str, Any]) -> Interval:
        """Return the interval of the ratio of two rows, paired by seed."""
        return ratio_interval(self.values(measure, **over), self.values(measure, **under))


def rows_of(taken: Iterable[tuple[Mapping[str, Any], Sequence[Sequence[Mapping[str, Any]] | None]]]) -> list[dict]:
    """Return the rows of several models.

    Args:
        taken: for each model its labels, and by seed what was measured: entries with a ``value``, everything else
            being labels, the same in all seeds; None for a diverged training.
    """
    rows = []
    for labels, seeds in taken:
        known = next((seed for seed in seeds if seed is not None), [])
        for place, entry in enumerate(known):
            values = [None if seed is None else seed[place]["value"] for seed in seeds]
            numbers = np.array([math.nan if value is None else value for value in values], float)
            interval = interval_of(entry["measure"], numbers)
            more = {name: value for name, value in entry.items() if name != "value"}
            rows.append({**labels, **more, **bounds(interval), "values": values})
    return rows
