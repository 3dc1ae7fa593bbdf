"""Results, pictures and metrics of a made-up run, small and shaped like a real one."""

import numpy as np
import pytest

DISTANCES = {
    "ilsd": (3.2, 2.9, 2.5, 2.4, 2.3, 2.2, 2.3, 2.45),
    "vanilla": (3.7, 2.35, 2.41, 2.7, 3.5, 4.6, 5.8, 7.1),
}


def rows_of(distances):
    return [
        {
            "loops": loops,
            "frechet_distance": distance,
            "inception_score": 9.0 - distance / 2,
            "label_accuracy": 1.0 - distance / 16,
            "gflops_per_sample": 0.0004 + 0.00613 * loops,
            "seconds_per_sample": 0.0011 + 0.0019 * loops,
        }
        for loops, distance in enumerate(distances, start=1)
    ]


@pytest.fixture
def results():
    return {name: rows_of(distances) for name, distances in DISTANCES.items()}


@pytest.fixture
def with_seeds():
    """Return a model's rows as those of several seeds: from 0.9 to 1.1 times each number is its interval."""
    measured = ("frechet_distance", "inception_score", "label_accuracy")
    return lambda rows: [
        {**row, "intervals": {key: [0.9 * row[key], 1.1 * row[key]] for key in measured}} for row in rows
    ]


@pytest.fixture
def pictures():
    draw = np.random.default_rng(0)
    return {name: {loops: draw.random((10, 8, 8, 1)) for loops in range(1, 9)} for name in DISTANCES}


@pytest.fixture
def metrics():
    steps = range(60)
    ilsd = [
        {
            "step": step,
            "loss": 10.0 - step / 10,
            "teacher_truth": 4.8 - step / 30,
            "student_truth": 4.9 - step / 32,
            "distillation": 4.7 - step / 31,
            "truth_weight": 1 - step / 60,
            "learning_rate": 1e-3,
            "student_loops": 1 + step % 3,
        }
        for step in steps
    ]
    vanilla = [{"step": step, "loss": 4.8 - step / 29, "teacher_truth": 4.8 - step / 29} for step in steps]
    return {"ilsd": ilsd, "vanilla": vanilla}
