"""Runs that differ only in their seed are one model, and its numbers are means over them."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_runs import TINY

from elt_ref.config import parse_config
from elt_ref.run.folder import Run
from elt_ref.run.idea import load_idea
from elt_ref.run.seeds import mean_metrics, models_of, over_seeds

OF_ONE_SIZE = ("frechet_distance", "inception_score", "seconds_per_sample")


def run(seed=0, step=4, **changes):
    text = f"seed = {seed}\n{TINY}"
    for old, new in changes.values():
        text = text.replace(old, new)
    return Run(config=parse_config(text, where="tiny.toml"), parameters={}, codec=None, step=step)


@pytest.mark.parametrize(
    ("names", "model"),
    [
        (["ilsd-0", "ilsd-1"], "ilsd"),
        (["ilsd-seed0", "ilsd-seed12"], "ilsd"),
        (["ilsd10", "ilsd11"], "ilsd"),
        (["ilsd-4x1-0", "ilsd-4x1-1"], "ilsd-4x1"),
        (["first", "second"], "first"),
        (["1", "2"], "1"),
        (["a", "ab"], "a"),
    ],
)
def test_a_model_has_what_the_names_of_its_runs_begin_with(names, model):
    assert models_of({name: run(seed) for seed, name in enumerate(names)}) == {model: names}


def test_a_model_with_an_idea_keeps_the_idea_in_its_name():
    runs = {f"d{seed} drawn with exit_kl": replace(run(seed), idea=load_idea("exit_kl")) for seed in range(2)}
    assert models_of(runs) == {"d drawn with exit_kl": list(runs)}


def test_a_name_that_a_model_has_is_not_given_again():
    longer = {"steps": ("steps = 4", "steps = 5")}
    runs = {"ilsd": run(0, **longer), "ilsd-1": run(1), "ilsd-2": run(2)}
    assert models_of(runs) == {"ilsd": ["ilsd"], "ilsd-1": ["ilsd-1", "ilsd-2"]}
    runs = {"ilsd-1": run(1), "ilsd-2": run(2), "ilsd": run(0, **longer)}
    assert models_of(runs) == {"ilsd-1": ["ilsd-1", "ilsd-2"], "ilsd": ["ilsd"]}
    runs = {"ilsd-0": run(0), "ilsd-1": run(1), "ilsd-2": run(0, **longer), "ilsd-3": run(1, **longer)}
    assert models_of(runs) == {"ilsd": ["ilsd-0", "ilsd-1"], "ilsd-2": ["ilsd-2", "ilsd-3"]}


@pytest.mark.parametrize(
    "other",
    [
        run(0),
        run(1, steps=("steps = 4", "steps = 5")),
        run(1, width=("width = 8", "width = 16")),
        run(1, step=3),
    ],
    ids=["the same seed", "another number of steps", "another width", "stopped earlier"],
)
def test_what_differs_in_more_than_the_seed_is_another_model(other):
    assert models_of({"one": run(0), "two": other}) == {"one": ["one"], "two": ["two"]}


def test_a_run_that_borrows_an_idea_is_another_model():
    assert len(models_of({"one": run(0), "two": replace(run(1), idea=load_idea("exit_kl"))})) == 2


def test_the_name_in_a_configuration_is_no_difference():
    assert len(models_of({"one": run(0), "two": run(1, name=('"tiny"', '"tiny again"'))})) == 1


def test_rows_are_means_and_only_quality_has_intervals():
    rows = [[{"loops": 1, **dict.fromkeys(OF_ONE_SIZE, value), "valid_share": value / 10}] for value in (1, 2, 6)]
    (row,) = over_seeds(rows)
    mean, times = 12 ** (1 / 3), np.exp(4.30265 * np.std(np.log([1, 2, 6]), ddof=1) / np.sqrt(3))
    half = 4.30265 * np.sqrt(7 / 3)
    assert row.pop("intervals") == {
        "frechet_distance": pytest.approx([mean / times, mean * times], rel=1e-5),
        "inception_score": pytest.approx([3 - half, 3 + half], rel=1e-5),
        "valid_share": [0.0, pytest.approx(0.3 + half / 10, rel=1e-5)],
    }
    assert row == {
        "loops": 1,
        "frechet_distance": pytest.approx(mean),
        "inception_score": 3.0,
        "seconds_per_sample": 3.0,
        "valid_share": pytest.approx(0.3),
    }
    assert over_seeds(rows[:1]) == [{**rows[0][0]}]


def test_logs_are_averaged_over_the_steps_that_all_have():
    logs = [
        [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 2.0}],
        [{"step": 2, "loss": 4.0, "blind_loss": 1.0}],
    ]
    assert mean_metrics(logs) == [{"step": 2, "loss": 3.0}]
    assert mean_metrics(logs[:1]) == logs[0]
