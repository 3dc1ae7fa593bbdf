"""The one-step sampler: the network's answer to named noise, at any number of loops."""

import numpy as np
import pytest
from networks import make_drifting_config, random_labels, random_parameters

from elt_ref.errors import RequestError
from elt_ref.generation import generate, initial_noise, sample
from elt_ref.measure import count, parameter_count
from elt_ref.model import forward
from elt_ref.ops import counting
from elt_ref.schedules import EarlyExit

CONFIG = make_drifting_config()
PARAMETERS, LABELS = random_parameters(CONFIG), random_labels(CONFIG, 4)


@pytest.mark.parametrize("loops", [1, 2, 3, 7])
def test_a_sample_is_one_evaluation(loops):
    with counting() as work:
        found = sample(PARAMETERS, CONFIG, LABELS, seed=5, loops=loops)
    assert work.calls == {"layer": 2 * loops, "head": 1}
    noise = initial_noise(CONFIG, 5, 4)
    np.testing.assert_array_equal(found.samples, forward(PARAMETERS, CONFIG, noise, LABELS, loops=loops))
    np.testing.assert_array_equal(found.loops_used, np.full((1, 4), loops))
    counted = count(CONFIG, loops)
    assert work.flops == 4 * counted.flops_per_sample == 4 * counted.flops_per_forward
    assert work.macs == 4 * counted.macs_per_sample


def test_the_loops_of_training_are_the_default():
    found = sample(PARAMETERS, CONFIG, LABELS)
    np.testing.assert_array_equal(found.samples, sample(PARAMETERS, CONFIG, LABELS, loops=3).samples)


def test_early_exit_stops_each_sample_when_it_has_settled():
    noise = initial_noise(CONFIG, 0, 4)
    samples, used = generate(PARAMETERS, CONFIG, LABELS, noise, loops=EarlyExit(0.3, 6))
    for row, loops in enumerate(used):
        alone = forward(PARAMETERS, CONFIG, noise[row : row + 1], LABELS[row : row + 1], loops=int(loops))
        np.testing.assert_allclose(samples[row], alone[0], rtol=1e-12)
    assert used.min() > 1


def test_the_same_noise_whatever_the_loops_and_the_batch():
    np.testing.assert_array_equal(initial_noise(CONFIG, 3, 4)[:2], initial_noise(CONFIG, 3, 2))


def test_every_parameter_matters_and_none_is_left_over():
    assert parameter_count(CONFIG) == sum(leaf.size for leaf in _leaves(PARAMETERS))
    assert set(PARAMETERS["embedding"]) == {"patch", "label"}
    assert len(PARAMETERS["embedding"]["label"]) == CONFIG.model.classes, "a row for no class"


def _leaves(tree):
    if isinstance(tree, dict):
        return [leaf for child in tree.values() for leaf in _leaves(child)]
    return [leaf for child in tree for leaf in _leaves(child)] if isinstance(tree, list) else [tree]


@pytest.mark.parametrize(
    ("labels", "more", "sentence"),
    [
        (np.array([0, 3]), {}, "labels: expected classes in 0…2, got 3"),
        (np.array([0, 1]), {"loops": 0}, "loops: expected"),
        (np.array([0, 1]), {"start": np.zeros((2, 4), int)}, "start: expected none in the drifting family, got tokens"),
    ],
)
def test_what_does_not_fit_is_refused(labels, more, sentence):
    with pytest.raises(RequestError, match="expected") as refused:
        sample(PARAMETERS, CONFIG, labels, **more)
    assert str(refused.value).startswith(sentence)
