"""`elt-ref evaluate`: one row for each loop count, from the same noise, against the real pictures."""

import json
import math

import numpy as np
import pytest

import tiny_datasets
from elt_ref.measure import classify, count, fit_gaussian, frechet_distance, inception_score
from elt_ref.run.evaluate import CHUNK, Evaluator, balanced_labels, chunk_seed, draw_pictures, evaluate_run
from elt_ref.run.folder import open_run

KEYS = [
    "loops",
    "frechet_distance",
    "inception_score",
    "label_accuracy",
    "nearest_distance",
    "gflops_per_sample",
    "seconds_per_sample",
]


def test_json(done, trained):
    result = done("evaluate", trained, "--loops", "1,3", "--count", 20, "--json")
    document = json.loads(result.out)
    assert list(document) == ["results", "held_out"]
    assert [list(row) for row in document["results"]] == [KEYS, KEYS]
    assert [row["loops"] for row in document["results"]] == [1, 3]
    run = open_run(trained)
    for row in document["results"]:
        assert row["gflops_per_sample"] == count(run.config, row["loops"]).flops_per_sample / 1e9
        assert row["frechet_distance"] > 0
        assert 1 <= row["inception_score"] <= 10
        assert 0 <= row["label_accuracy"] <= 1
        assert 0 < row["seconds_per_sample"] < 60
    assert not result.err, "stderr is no terminal and should be silent"


def test_a_table(done, trained):
    result = done("evaluate", trained, "--loops", "2", "--count", 10)
    assert "frechet distance" in result.out
    assert f"{trained}, 10 samples each" in result.out
    assert "held out" in result.out


def test_numbers_repeat_but_for_the_time(trained):
    run = open_run(trained)
    rows = [evaluate_run(run, [2], count=12, seed=seed)[0] for seed in (3, 3, 4)]
    first, again, other = ({key: getattr(row, key) for key in KEYS[1:5]} for row in rows)
    assert first == again
    assert first != other, "the seed does not count"


def test_numbers_against_a_computation_by_hand(trained):
    run = open_run(trained)
    (row,) = evaluate_run(run, [2], count=20, seed=0)
    dataset = tiny_datasets.load("digits")
    pictures = draw_pictures(run, np.arange(20) % 10, loops=2, seed=0)
    evaluator = Evaluator(run)
    drawn = classify(evaluator.network, pictures)
    real = classify(evaluator.network, tiny_datasets.scaled(dataset.train.examples, dataset.white)).features
    distance = frechet_distance(fit_gaussian(drawn.features), fit_gaussian(real))
    assert math.isclose(row.frechet_distance, distance)
    assert row.inception_score == inception_score(drawn.logits, 10)
    assert row.label_accuracy == sum(drawn.logits.argmax(axis=1) == np.arange(20) % 10) / 20


def test_real_pictures_are_near_and_recognised(trained):
    """What a perfect sampler may expect: far less than what an untrained one gets."""
    evaluator = Evaluator(open_run(trained))
    assert 0 < evaluator.real_distance < 2
    assert evaluator.labels.tolist() == list(range(10))
    real = evaluator.real()
    assert real["frechet_distance"] == evaluator.real_distance
    assert real["label_accuracy"] > 0.95


def test_held_out_pictures_against_a_computation_by_hand(trained, done):
    digits = tiny_datasets.load("digits")
    test, train = ((split.examples / digits.white).reshape(len(split), -1) for split in (digits.test, digits.train))
    nearest = [np.sqrt(((picture - train) ** 2).mean(axis=1)).min() for picture in test]
    real = json.loads(done("evaluate", trained, "--loops", "1", "--count", 10, "--json").out)["held_out"]
    assert math.isclose(real["nearest_distance"], np.mean(nearest), rel_tol=1e-5)


def test_labels_in_turn():
    assert balanced_labels(7, np.arange(3)).tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_pictures_are_drawn_a_chunk_at_a_time(trained):
    run = open_run(trained)
    labels = balanced_labels(CHUNK + 2, np.arange(10))
    pictures = draw_pictures(run, labels, loops=1, seed=5)
    assert pictures.shape == (CHUNK + 2, 8, 8, 1)
    first, second = pictures[:CHUNK], pictures[CHUNK:]
    np.testing.assert_array_equal(first, draw_pictures(run, labels[:CHUNK], loops=1, seed=5))
    np.testing.assert_array_equal(second, draw_pictures(run, labels[CHUNK:], loops=1, seed=chunk_seed(5, 1)))


def test_no_two_chunks_of_any_requests_share_their_noise():
    seeds = [chunk_seed(seed, number) for seed in range(20) for number in range(20)]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--count", "9"], "count: expected at least 10 samples, one a split of the inception score, got 9"),
        (["--count", "0"], "got 0"),
        (["--count", "1" + "0" * 399], "count: expected at most 1,000,000 samples, got 1,000,000"),
        (["--count", "-5"], "got -5"),
        (["--loops", "0"], "loops: expected an integer of at least 1, got 0"),
        (["--loops", "1,,2"], "loops: expected a number (4), one a sampling step (1,2,4,4), more early or late"),
        (["--loops", "all"], "got 'all'"),
        (["--seed", "-1"], "--seed"),
    ],
)
def test_wrong_requests(refused, trained, words, expected):
    assert expected in refused("evaluate", trained, "--loops", "1", "--count", "10", *words)
    assert expected in refused("evaluate", trained, "--loops", "1", "--count", "10", *words, "--json")


def test_what_is_no_run(refused, tmp_path):
    assert "expected a run folder (with config.toml), got none" in refused("evaluate", tmp_path)
