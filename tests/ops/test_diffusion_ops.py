"""SiLU, modulated norm and weighted squared error: plain definitions, gradients, dtype, work."""

import math
from unittest import mock

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ops.gradient_check import LARGEST_ERROR, gradient_error
from ops.op_cases import Case, pull

from elt_ref import ops
from elt_ref.paper import diffusion

OPS = ["silu", "modulated_layer_norm", "weighted_squared_error"]
EPSILON = 1e-6


def plain_modulated_norm(x, modulation, part, epsilon):
    shift, scale = modulation[:, part : part + 1], modulation[:, part + 1 : part + 2]
    with mock.patch.object(diffusion, "NORM_EPSILON", epsilon):
        return diffusion.layer_norm(x, shift, scale)


def make_case(name, *, batch=2, tokens=3, width=5, chunks=6, part=1, seed=0):
    """Return an op of its differentiable arrays; the rows of a norm vary, so that differences can measure it."""
    normal = np.random.default_rng(seed).standard_normal
    rows = np.linspace(-2, 2, width) + 0.3 * normal((batch, tokens, width))
    other, modulation = normal((batch, tokens, width)), normal((batch, chunks, width))
    weights = np.abs(normal(batch))
    return {
        "silu": Case(ops.silu, lambda x: x * diffusion.sigmoid(x), [3 * other]),
        "modulated_layer_norm": Case(
            lambda x, m: ops.modulated_layer_norm(x, m, part=part, epsilon=EPSILON),
            lambda x, m: plain_modulated_norm(x, m, part, EPSILON),
            [rows, modulation],
        ),
        "weighted_squared_error": Case(
            lambda p, t: ops.weighted_squared_error(p, t, weights),
            lambda p, t: anp.sum(weights[:, None, None] * (p - t) ** 2),
            [rows, other],
        ),
    }[name]


@st.composite
def cases(draw, name):
    chunks = draw(st.integers(2, 6))
    return make_case(
        name,
        batch=draw(st.integers(1, 3)),
        tokens=draw(st.integers(1, 4)),
        width=draw(st.integers(4, 8)),
        chunks=chunks,
        part=draw(st.integers(0, chunks - 2)),
        seed=draw(st.integers(0, 2**32 - 1)),
    )


@pytest.mark.parametrize("name", OPS)
@given(st.data())
@settings(max_examples=15)
def test_value_and_gradients_are_those_of_the_plain_definition(name, data):
    op, plain, arrays = data.draw(cases(name))
    (value, backward), (expected, expected_backward) = pull(op, arrays), pull(plain, arrays)
    np.testing.assert_allclose(value, expected, rtol=1e-10, atol=1e-12)
    cotangent = np.random.default_rng(1).standard_normal(np.shape(value))
    for got, wanted in zip(backward(cotangent), expected_backward(cotangent), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", OPS)
@given(st.data())
@settings(max_examples=8)
def test_gradients_are_those_that_differences_measure(name, data):
    op, _, arrays = data.draw(cases(name))
    value, backward = pull(op, arrays)
    cotangent = np.random.default_rng(2).standard_normal(np.shape(value))
    error = gradient_error(lambda *arrays: np.vdot(cotangent, op(*arrays)), arrays, backward(cotangent))
    assert error < LARGEST_ERROR


@pytest.mark.parametrize("name", OPS)
def test_float32_stays_float32(name):
    op, _, arrays = make_case(name)
    if name == "weighted_squared_error":
        weights = np.ones(2, np.float32)

        def op(p, t):
            return ops.weighted_squared_error(p, t, weights)

    value, backward = pull(op, [array.astype(np.float32) for array in arrays])
    assert value.dtype == np.float32
    assert {gradient.dtype for gradient in backward(np.ones_like(value))} == {np.dtype(np.float32)}


SIZE, ROWS, PER_MODULATION = 2 * 3 * 5, 2 * 3, 2 * 5
WORK = {
    "silu": (4 * SIZE, 5 * SIZE),
    "modulated_layer_norm": (7 * SIZE + 5 * ROWS + PER_MODULATION, 11 * SIZE + PER_MODULATION),
    "weighted_squared_error": (3 * SIZE, 2 * SIZE),
}


@pytest.mark.parametrize("name", OPS)
def test_work_is_what_the_file_states(name):
    op, _, arrays = make_case(name)
    with ops.counting() as forward:
        value, backward = pull(op, arrays)
    with ops.counting() as back:
        backward(np.ones_like(value))
    assert (forward.elementwise_flops, back.elementwise_flops) == WORK[name]
    assert forward.macs == back.macs == 0


def test_silu_by_hand_and_far_out():
    got = ops.silu(np.array([0.0, 1.0, -2.0, 1000.0, -1000.0]))
    np.testing.assert_allclose(got, [0, 1 / (1 + math.exp(-1)), -2 / (1 + math.exp(2)), 1000, 0], rtol=1e-12)


def test_a_modulated_norm_by_hand():
    """Of ±1 the norm is ±1/√(1 + ε); shift comes first, then scale, and each sample has its own."""
    x = np.array([[[1.0, -1.0]], [[1.0, -1.0]]])
    modulation = np.array([[[9.0, 9.0], [10.0, 20.0], [2.0, 4.0]], [[9.0, 9.0], [0.0, 0.0], [-1.0, 0.0]]])
    got = ops.modulated_layer_norm(x, modulation, part=1, epsilon=3.0)
    np.testing.assert_allclose(got, [[[10 + 1.5, 20 - 2.5]], [[0, -0.5]]])


def test_a_gate_of_zero_returns_the_input_to_the_bit():
    normal = np.random.default_rng(0).standard_normal
    x, modulation = normal((2, 3, 4)), normal((2, 6, 4))
    modulation[:, [2, 5]] = 0
    arrays = [normal(shape) for shape in ((4, 12), 12, (4, 4), 4, (4, 8), 8, (8, 4), 4)]
    assert np.array_equal(ops.adaln_zero_layer(x, modulation, *arrays, heads=2, epsilon=EPSILON), x)


def test_a_squared_error_by_hand():
    prediction, target = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[0.0, 0.0], [3.0, 3.0]])
    assert ops.weighted_squared_error(prediction, target, np.array([10.0, 0.5])) == 10 * (1 + 4) + 0.5 * 4


def test_only_the_chunks_in_use_have_a_gradient():
    case = make_case("modulated_layer_norm", part=3)
    value, backward = pull(case.op, case.arrays)
    gradient = backward(np.random.default_rng(0).standard_normal(value.shape))[-1]
    assert set(np.flatnonzero(np.abs(gradient).sum(axis=(0, 2)))) == {3, 4}
