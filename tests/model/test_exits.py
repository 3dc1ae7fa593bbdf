"""Predictions at several exits of one pass: each is that of a pass of its own, to the bit, and the longest pays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import (
    examples,
    make_config,
    make_diffusion_config,
    make_drifting_config,
    random_labels,
    random_parameters,
    random_tokens,
)

from elt_ref.errors import RequestError
from elt_ref.model import NETWORKS, forward, run
from elt_ref.ops import counting

exit_lists = st.lists(st.integers(1, 6), min_size=1, max_size=5)


def masked():
    config = make_config()
    return config, (random_tokens(config, 2), random_labels(config, 2))


def diffusion():
    config = make_diffusion_config()
    generator = np.random.default_rng(0)
    return config, (
        generator.standard_normal((2, *config.model.shape)),
        generator.random(2),
        random_labels(config, 2),
    )


def drifting():
    config = make_drifting_config()
    return config, (np.random.default_rng(0).standard_normal((2, *config.model.shape)), random_labels(config, 2))


every_family = pytest.mark.parametrize("family", [masked, diffusion, drifting])


@given(examples(), exit_lists)
@settings(max_examples=20)
def test_each_prediction_is_bit_for_bit_that_of_a_pass_of_its_own(example, exits):
    """In any order, with repeats, below and above L_max."""
    inputs = example.tokens, example.labels
    predictions = forward(example.parameters, example.config, *inputs, exits=exits)
    assert len(predictions) == len(exits)
    for loops, prediction in zip(exits, predictions, strict=True):
        alone = forward(example.parameters, example.config, *inputs, loops=loops)
        assert np.array_equal(prediction, alone), f"exit {loops} of {exits}"


@every_family
@pytest.mark.parametrize("exits", [(1, 3), (3, 1), (2, 2), (5, 1, 5, 2)], ids=str)
def test_exits_in_either_family(family, exits):
    config, inputs = family()
    parameters = random_parameters(config)
    alone = {loops: forward(parameters, config, *inputs, loops=loops) for loops in {*exits}}
    for loops, prediction in zip(exits, forward(parameters, config, *inputs, exits=exits), strict=True):
        assert np.array_equal(prediction, alone[loops]), f"exit {loops}"
    values = list(alone.values())
    assert all(not np.allclose(values[0], other) for other in values[1:]), "all exits predict the same"


@every_family
@given(exits=exit_lists)
@settings(max_examples=10)
def test_one_pass_serves_all_exits(family, exits):
    """Layers of the longest exit; one head for each exit that differs."""
    config, inputs = family()
    with counting() as work:
        forward(random_parameters(config), config, *inputs, exits=exits)
    assert work.calls == {"layer": 2 * max(exits), "head": len({*exits})}


def test_one_exit_is_a_list_of_one():
    config, inputs = masked()
    parameters = random_parameters(config)
    (prediction,) = forward(parameters, config, *inputs, exits=[2])
    assert np.array_equal(prediction, forward(parameters, config, *inputs, loops=2))


@every_family
def test_forward_is_the_run_of_the_familys_network(family):
    config, inputs = family()
    parameters = random_parameters(config)
    expected = run(NETWORKS[type(config)], parameters, config, inputs, exits=[3, 1])
    for one, other in zip(forward(parameters, config, *inputs, exits=(3, 1)), expected, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"loops": 2, "exits": [1]}, "forward: expected loops or exits, got both"),
        ({"exits": []}, "exits: expected at least one number of loops, got none"),
        ({"exits": [1, 0]}, "exits: expected an integer of at least 1, got 0"),
        ({"exits": [-1]}, "exits: expected an integer of at least 1, got -1"),
        ({"exits": [2, 1.5]}, "exits: expected an integer of at least 1, got 1.5"),
        ({"exits": [True]}, "exits: expected an integer of at least 1, got True"),
        ({"exits": ["2"]}, "exits: expected an integer of at least 1, got '2'"),
    ],
    ids=str,
)
@pytest.mark.usefixtures("as_user")
def test_exits_that_do_not_fit_are_refused_before_anything_is_computed(keywords, sentence):
    config, inputs = masked()
    with counting() as work, pytest.raises(RequestError) as error:
        forward(random_parameters(config), config, *inputs, **keywords)
    assert str(error.value) == sentence
    assert work.flops == 0


@every_family
@pytest.mark.usefixtures("as_user")
def test_inputs_are_checked_with_exits_too(family):
    config, (*inputs, labels) = family()
    with pytest.raises(RequestError, match=r"^labels: expected classes in 0…2( or 3 for none)?, got 9 at position 0$"):
        forward(random_parameters(config), config, *inputs, np.full_like(labels, 9), exits=[1, 2])
