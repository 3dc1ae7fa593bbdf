"""Runs that differ only in their seed are one model: its numbers are means over the seeds, with 95 % intervals.

As in a study, distances of seeds differ by factors: their mean is the geometric one, and their interval positive.
"""

import re
from collections.abc import Mapping, Sequence
from os.path import commonprefix
from typing import Any

import numpy as np

from elt_ref.measure import interval_of
from elt_ref.report.results import BY_RULE, Row
from elt_ref.run.folder import Run

OF_QUALITY = ("frechet_distance", "inception_score", "label_accuracy", *BY_RULE)
"""Numbers that have an interval. Costs have none: the seed changes no FLOPs, and times change with the hour."""


def models_of(runs: Mapping[str, Run]) -> dict[str, list[str]]:
    """Return the names of each model's runs, by the name of the model, in the order of the first runs.

    A model of one run has the name of the run. A model of several has what their names begin with, or else the name of
    the first.
    """
    groups: list[list[str]] = []
    for name, run in runs.items():
        for group in groups:
            if _differ_in_seed(run, runs[group[0]]) and run.config.seed not in {
                runs[each].config.seed for each in group
            }:
                group.append(name)
                break
        else:
            groups.append([name])
    models: dict[str, list[str]] = {}
    for group in groups:
        mark = runs[group[0]].marked("")  # of an idea: its name stays
        start = commonprefix([name.removesuffix(mark) for name in group])  # noqa: RUF071  names, not paths
        common = re.sub(r"[-_. ]*(seed)?[-_. ]*\d*$", "", start) if len(group) > 1 else start
        common = common and common + mark
        taken = not common or common in models or (common in runs and common not in group)
        models[group[0] if taken else common] = group
    return models


def _differ_in_seed(one: Run, other: Run) -> bool:
    ideas = [(run.idea and run.idea.digest, run.borrows) for run in (one, other)]
    if ideas[0] != ideas[1] or one.step != other.step:
        return False
    return one.config == other.config.model_copy(update={"seed": one.config.seed, "name": one.config.name})


def over_seeds(by_run: Sequence[Sequence[Row]]) -> list[dict[str, Any]]:
    """Return a model's rows: the mean over its runs, and the interval of each measure of quality."""
    rows = []
    for same_loops in zip(*by_run, strict=True):
        values = {
            key: np.array([row[key] for row in same_loops], float)
            for key in same_loops[0]
            if key != "loops" and all(key in row for row in same_loops)
        }
        row: dict[str, Any] = {
            "loops": same_loops[0]["loops"],
            **{key: float(np.mean(of)) for key, of in values.items()},
        }
        if len(same_loops) > 1:
            found = {key: interval_of(key, values[key]) for key in OF_QUALITY if key in values}
            row |= {key: interval.mean for key, interval in found.items()}
            row["intervals"] = {key: [interval.low, interval.high] for key, interval in found.items()}
        rows.append(row)
    return rows


def mean_metrics(by_run: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Return a model's log: at each step that all its runs logged, the mean of every number."""
    if len(by_run) == 1:
        return [dict(row) for row in by_run[0]]
    logs = [{row["step"]: row for row in rows} for rows in by_run]
    means = []
    for step in logs[0]:
        if all(step in log for log in logs):
            rows = [log[step] for log in logs]
            shared = [key for key in rows[0] if all(isinstance(row.get(key), int | float) for row in rows)]
            means.append({key: float(np.mean([row[key] for row in rows])) for key in shared} | {"step": step})
    return means
