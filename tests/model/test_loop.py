"""Laws of the loop: the student is a prefix of the teacher; looped is the same as untied with copied layers."""

from itertools import pairwise

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import Example, examples, make_config, open_network, random_labels, random_parameters, random_tokens

from elt_ref.arrays import check_loops, tree_items, tree_leaves, tree_map
from elt_ref.errors import RequestError
from elt_ref.model import apply_block, forward, loop_states
from elt_ref.ops import counting, value_and_gradient


def open_example(example: Example):
    return open_network(example.parameters, example.config, example.tokens, example.labels)


def last_state(block, x, loops):
    *_, last = loop_states(block, x, loops)
    return last


@given(examples())
@settings(max_examples=15)
def test_every_student_state_is_bit_for_bit_that_of_a_separate_shorter_pass(example):
    teacher = open_example(example)
    states = list(loop_states(teacher.block, teacher.state, example.config.model.max_loops + 1))
    for loops, state in enumerate(states, start=1):
        student = open_example(example)
        assert np.array_equal(last_state(student.block, student.state, loops), state), f"state after {loops} loops"
        logits = forward(example.parameters, example.config, example.tokens, example.labels, loops=loops)
        assert np.array_equal(logits, teacher.head(state)), f"logits after {loops} loops"


@pytest.mark.parametrize("seed", range(8))
def test_loops_matter_to_such_networks(seed):
    """Otherwise the other laws of this file would hold for a network that stands still."""
    config = make_config()
    parameters, tokens, labels = random_parameters(config, seed), random_tokens(config, 2), random_labels(config, 2)
    network = open_network(parameters, config, tokens, labels)
    states = [network.state, *loop_states(network.block, network.state, 3)]
    changes = [np.abs(after - before).max() for before, after in pairwise(states)]
    assert min(changes) > 0.01


def untied(example: Example, loops: int) -> Example:
    """Return the network of N · L layers of its own, each a copy of the layer it unrolls, and one loop."""
    config = example.config
    copies = [tree_map(np.copy, layer) for _ in range(loops) for layer in example.parameters["block"]]
    model = config.model.model_copy(update={"layers": len(copies), "max_loops": 1})
    return example._replace(
        config=config.model_copy(update={"model": model}), parameters={**example.parameters, "block": copies}
    )


@given(examples(), st.integers(1, 4))
@settings(max_examples=9)
def test_the_looped_network_is_bit_for_bit_the_untied_one_with_copied_layers(example, loops):
    looped = forward(example.parameters, example.config, example.tokens, example.labels, loops=loops)
    deep = untied(example, loops)
    assert np.array_equal(forward(deep.parameters, deep.config, deep.tokens, deep.labels), looped)


def gradient_of(example: Example, loops: int):
    def objective(parameters):
        logits = forward(parameters, example.config, example.tokens, example.labels, loops=loops)
        factors = np.random.default_rng(0).standard_normal(logits.shape)
        return anp.sum(factors * logits), None

    return value_and_gradient(objective, example.parameters)[2]


@given(examples(dtypes=("float64",)), st.integers(1, 4))
@settings(max_examples=9)
def test_the_gradient_of_a_shared_layer_is_the_sum_over_its_copies(example, loops):
    layers = example.config.model.layers
    looped, deep = gradient_of(example, loops), gradient_of(untied(example, loops), 1)
    summed = [
        tree_map(lambda *copies: sum(copies), *(deep["block"][loop * layers + layer] for loop in range(loops)))
        for layer in range(layers)
    ]
    for (name, gradient), expected in zip(tree_items(looped), tree_leaves({**deep, "block": summed}), strict=True):
        scale = max(1e-3, np.abs(expected).max())
        assert np.abs(gradient - expected).max() <= 1e-10 * scale, f"{name}: not the sum over {loops} loops"


@given(examples(), st.integers(1, 6))
@settings(max_examples=9)
def test_a_pass_is_exactly_n_times_l_layer_calls_and_one_head_call(example, loops):
    with counting() as work:
        forward(example.parameters, example.config, example.tokens, example.labels, loops=loops)
    assert work.calls == {"layer": example.config.model.layers * loops, "head": 1}


def test_loops_default_to_those_of_the_teacher():
    config = make_config(max_loops=3)
    parameters, tokens, labels = random_parameters(config), random_tokens(config, 2), random_labels(config, 2)
    default = forward(parameters, config, tokens, labels)
    assert np.array_equal(default, forward(parameters, config, tokens, labels, loops=3))
    assert not np.allclose(default, forward(parameters, config, tokens, labels, loops=2))


def test_loops_beyond_those_of_the_teacher_go_on_with_the_same_block():
    config = make_config(max_loops=2)
    network = open_network(random_parameters(config), config, random_tokens(config, 2), random_labels(config, 2))
    fifth = last_state(network.block, network.state, 5)
    assert np.array_equal(fifth, last_state(network.block, last_state(network.block, network.state, 2), 3))


@given(examples(max_loops=3))
@settings(max_examples=9)
def test_nothing_is_injected_again_so_a_state_depends_on_the_last_one_alone(example):
    """A block that was opened on another input takes the state on in the same way."""
    network = open_example(example)
    other = open_network(
        example.parameters,
        example.config,
        np.full_like(example.tokens, example.config.model.mask_token),
        np.zeros_like(example.labels),
    )
    states = list(loop_states(network.block, network.state, 3))
    for before, after in pairwise(states):
        assert np.array_equal(other.block(before.copy()), after)


def test_the_unlooped_network_is_one_loop_through_the_same_code():
    config = make_config(layers=4, max_loops=1)
    network = open_network(random_parameters(config), config, random_tokens(config, 2), random_labels(config, 2))
    states = list(loop_states(network.block, network.state, 1))
    assert len(states) == 1
    assert np.array_equal(states[0], network.block(network.state))


def test_a_block_applies_its_layers_in_order():
    assert apply_block(lambda theta, x: [*x, theta], ["f1", "f2", "f3"], []) == ["f1", "f2", "f3"]


def test_states_are_made_one_by_one_as_they_are_asked_for():
    calls = []
    states = loop_states(lambda x: calls.append(x) or x + 1, 0, 10**6)
    assert [next(states), next(states)] == [1, 2]
    assert calls == [0, 1]


bad_loops = pytest.mark.parametrize("loops", [0, -1, 1.5, True, "3", None, np.float64(2), np.bool_(True)], ids=repr)


@bad_loops
def test_loops_that_are_no_positive_integer_are_refused(loops):
    with pytest.raises(RequestError) as error:
        check_loops(loops)
    assert str(error.value) == f"loops: expected an integer of at least 1, got {loops!r}"


@bad_loops
@pytest.mark.usefixtures("as_user")
def test_the_generator_refuses_before_its_first_state(loops):
    calls = []
    states = loop_states(calls.append, 0, loops)
    with pytest.raises(RequestError, match=r"^loops: expected an integer of at least 1"):
        next(states)
    assert not calls, "the block was applied"


@pytest.mark.parametrize("loops", [0, -1, 1.5, True, "3"], ids=repr)
@pytest.mark.usefixtures("as_user")
def test_the_network_refuses_them_too(loops):
    config = make_config()
    with pytest.raises(RequestError, match=r"^loops: expected an integer of at least 1"):
        forward(random_parameters(config), config, random_tokens(config, 1), random_labels(config, 1), loops=loops)


def test_integers_of_numpy_are_integers():
    assert check_loops(np.int64(3)) == 3
    assert type(check_loops(np.uint8(3))) is int
    assert list(loop_states(lambda x: x + 1, 0, int(np.int32(2)))) == [1, 2]
