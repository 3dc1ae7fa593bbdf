"""Differentiation of a function of a tree, and rematerialisation: the same numbers for less memory."""

import tracemalloc
from typing import NamedTuple

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from ops.op_cases import attention_of

from elt_ref import ops
from elt_ref.arrays import tree_items, tree_leaves

GENERATOR = np.random.default_rng(0)
WIDTH, TOKENS = 8, 64


class Information(NamedTuple):
    doubled: object
    name: str


def parameters(dtype=np.float64):
    def normal(*shape):
        return GENERATOR.standard_normal(shape).astype(dtype)

    return {
        "layers": [{"up": normal(WIDTH, 3 * WIDTH), "bias": normal(3 * WIDTH)} for _ in range(2)],
        "scale": normal(WIDTH),
        "unused": normal(3),
    }


def block(x, layers):
    for layer in layers:
        attended = attention_of(ops.linear(x, layer["up"], layer["bias"]), 2)
        x = ops.residual_layer_norm(
            x, ops.gelu(attended), anp.ones(WIDTH, x.dtype), anp.zeros(WIDTH, x.dtype), epsilon=1e-6
        )
    return x


def looped(tree, x, loops, apply):
    for _ in range(loops):
        x = apply(x, tree["layers"])
    return anp.sum(x * tree["scale"])


def test_value_gradient_and_information_are_those_of_autograd():
    tree, x = parameters(), GENERATOR.standard_normal((2, 3, WIDTH))

    def function(tree):
        value = looped(tree, x, 2, block)
        return value, Information(2 * value, "twice")

    value, information, gradient = ops.value_and_gradient(function, tree)
    expected = autograd.grad(lambda tree: function(tree)[0])(tree)
    assert value == looped(tree, x, 2, block)
    assert information == Information(2 * value, "twice")
    assert isinstance(information.doubled, (float, np.ndarray)), "the information is still traced"
    assert [name for name, _ in tree_items(gradient)] == [name for name, _ in tree_items(tree)]
    for (name, one), other in zip(tree_items(gradient), tree_leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12, err_msg=name)
    assert not gradient["unused"].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_are_cast_to_the_dtype_of_their_parameter_in_this_one_place(dtype):
    """Autograd's own mean widens float32 to float64 on the way back."""
    tree = {"a": GENERATOR.standard_normal(3).astype(dtype), "b": np.ones(2, np.float64)}
    _, _, gradient = ops.value_and_gradient(lambda t: (anp.mean(t["a"] ** 2) + anp.sum(t["b"]), None), tree)
    assert gradient["a"].dtype == dtype
    assert gradient["b"].dtype == np.float64
    np.testing.assert_allclose(gradient["a"], 2 * tree["a"] / 3, rtol=1e-6)


def test_a_function_that_depends_on_no_parameter_has_gradient_zero():
    value, _, gradient = ops.value_and_gradient(lambda _: (np.float64(3.0), None), {"a": np.ones(2)})
    assert value == 3
    assert np.array_equal(gradient["a"], np.zeros(2))


def test_a_parameter_used_twice_gets_the_sum():
    _, _, gradient = ops.value_and_gradient(
        lambda t: (anp.sum(t["a"] * t["a"] + 3 * t["a"]), None), {"a": np.arange(3.0)}
    )
    np.testing.assert_array_equal(gradient["a"], 2 * np.arange(3.0) + 3)


@pytest.mark.usefixtures("as_user")
def test_differentiating_around_it_is_refused():
    """A zero would be the silent alternative."""
    x, tree = np.ones(3), {"a": np.ones(3)}

    def through_the_parameters(y):
        return ops.value_and_gradient(lambda t: (anp.sum(t["a"] ** 2), None), {"a": y})[0]

    def through_a_closure(y):
        return ops.value_and_gradient(lambda t: (anp.sum(t["a"] * y), None), tree)[0]

    def through_a_closure_alone(y):
        return ops.value_and_gradient(lambda _: (anp.sum(y**2), None), tree)[0]

    for function in (through_the_parameters, through_a_closure, through_a_closure_alone):
        with pytest.raises(NotImplementedError, match=r"^value_and_gradient: "):
            autograd.grad(function)(x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rematerialise_gives_the_same_bits(dtype):
    tree, x = parameters(dtype), GENERATOR.standard_normal((2, 5, WIDTH)).astype(dtype)
    plain = ops.value_and_gradient(lambda tree: (looped(tree, x, 3, block), None), tree)
    again = ops.value_and_gradient(lambda tree: (looped(tree, x, 3, ops.rematerialise(block)), None), tree)
    assert again[0] == plain[0]
    for (name, one), other in zip(tree_items(again[2]), tree_leaves(plain[2]), strict=True):
        assert np.array_equal(one, other), f"{name}: the gradient of the rematerialised block differs"


def test_rematerialise_differentiates_its_input_too():
    x = GENERATOR.standard_normal((1, 3, WIDTH))
    layers = parameters()["layers"]
    plain = autograd.grad(lambda y: anp.sum(block(y, layers) ** 2))(x)
    again = autograd.grad(lambda y: anp.sum(ops.rematerialise(block)(y, layers) ** 2))(x)
    assert np.array_equal(plain, again)


def test_rematerialise_refuses_a_function_that_closes_over_what_is_differentiated():
    """Its gradient would silently miss that part."""
    with pytest.raises(NotImplementedError, match=r"^rematerialise: .* through x and the tree$"):
        ops.value_and_gradient(
            lambda t: (anp.sum(ops.rematerialise(lambda x, _: x * t["a"])(np.ones(3), [])), None), {"a": np.ones(3)}
        )


def arrays_alive():
    """Return the bytes of all arrays made since tracing began."""
    arrays = tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([arrays]).traces)


def held_between_the_passes(apply, loops):
    """Return the bytes that are alive when the value is known and the way back has not begun."""
    (layer, *_), x = parameters()["layers"], GENERATOR.standard_normal((1, TOKENS, WIDTH))

    def function(up, bias):
        state = x
        for _ in range(loops):
            state = apply(state, up, bias)
        return anp.sum(state)

    tracemalloc.start()
    try:
        _, backward = ops.pull_back(function, [layer["up"], layer["bias"]])
        held = arrays_alive()
    finally:
        tracemalloc.stop()
    backward(np.ones(()))
    return held


def states_a_loop(apply):
    """Return how much memory one more loop holds, in states of the loop."""
    return (held_between_the_passes(apply, 9) - held_between_the_passes(apply, 1)) / 8 / (TOKENS * WIDTH * 8)


def plain(x, up, bias):
    return block(x, [{"up": up, "bias": bias}])


def rematerialised(x, up, bias):
    return ops.rematerialise(block)(x, [{"up": up, "bias": bias}])


def test_rematerialise_holds_one_state_a_loop_where_the_plain_block_holds_many():
    assert states_a_loop(plain) > 20
    assert states_a_loop(rematerialised) < 1.5


def test_checkpoint_of_autograd_does_not_save_that_memory():
    """Why the package has its own: autograd's traces while going forward and so keeps what it should drop."""
    assert states_a_loop(autograd.checkpoint(plain)) > 20
