"""Laws that every op obeys: its value and derivative are those of its definition, in the dtype it was given."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad, make_vjp
from hypothesis import given, settings
from hypothesis import strategies as st
from ops.gradient_check import LARGEST_ERROR, gradient_error
from ops.op_cases import FUSED, OPS, TWICE_DIFFERENTIABLE, pull

from elt_ref import ops

every_op = pytest.mark.parametrize("name", OPS)
seeds = st.integers(0, 2**32 - 1)


def cotangent_like(value, seed):
    return np.random.default_rng(seed).standard_normal(np.shape(value)).astype(np.asarray(value).dtype)


def test_no_op_is_without_a_case():
    functions = {name for name in ops.__all__ if callable(getattr(ops, name)) and name.islower()}
    counters_and_ways_to_differentiate = {
        "counting",
        "count_call",
        "count_passes",
        "count_work",
        "pull_back",
        "value_and_gradient",
    }
    numbers_only = {"constant", "log_softmax"}
    of_the_diffusion_family = {  # in test_diffusion_ops.py
        "modulated_layer_norm",
        "silu",
        "weighted_squared_error",
    }
    cases = {name.split(",")[0] for name in OPS} - {"scatter_rows", "attention"}
    assert cases == functions - counters_and_ways_to_differentiate - numbers_only - of_the_diffusion_family


@every_op
@given(data=st.data(), seed=seeds)
@settings(max_examples=25)
def test_value_and_vector_jacobian_product_are_those_of_the_plain_definition(name, data, seed):
    op, plain, arrays = OPS[name](data.draw)
    value, backward = pull(op, arrays)
    expected, plain_backward = pull(plain, arrays)
    np.testing.assert_allclose(value, expected, rtol=1e-10, atol=1e-12)
    cotangent = cotangent_like(value, seed)
    for index, (gradient, plain_gradient) in enumerate(
        zip(backward(cotangent), plain_backward(cotangent), strict=True)
    ):
        np.testing.assert_allclose(
            gradient, plain_gradient, rtol=1e-10, atol=1e-11, err_msg=f"{name}: gradient of argument {index}"
        )


@pytest.mark.few(14)
@every_op
@pytest.mark.parametrize("scale", [1.0, 1e-9])
@given(data=st.data(), seed=seeds)
@settings(max_examples=5)
def test_gradient_passes_the_scale_free_check(name, scale, data, seed):
    op, plain, arrays = OPS[name](data.draw)
    value, backward = pull(op, arrays)
    cotangent = scale * cotangent_like(value, seed)
    held = plain if name == "stop_gradient" else op  # what differences can see of a stopped gradient is its absence
    error = gradient_error(
        lambda *moved: np.sum(cotangent * held(*moved)), arrays, backward(cotangent), seed=seed, directions=2
    )
    assert error <= LARGEST_ERROR, f"{name}: scale-free gradient error {error:.1e}"


@pytest.mark.few(14)
@every_op
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(data=st.data(), seed=seeds)
@settings(max_examples=8)
def test_value_and_every_gradient_keep_the_dtype_they_were_given(name, dtype, data, seed):
    """One argument at a time: autograd's gradient of several is cast on the way."""
    op, _, arrays = OPS[name](data.draw)
    arrays = [array.astype(dtype) for array in arrays]
    for index in range(len(arrays)):
        backward, value = make_vjp(op, index)(*arrays)
        assert np.asarray(value).dtype == dtype, f"{name}: value became {value.dtype}"
        gradient = backward(cotangent_like(value, seed))
        assert gradient.dtype == dtype, f"{name}: gradient of argument {index} became {gradient.dtype}"


@every_op
@given(data=st.data(), seed=seeds)
@settings(max_examples=5)
def test_nothing_that_was_given_is_written_to(name, data, seed):
    op, _, arrays = OPS[name](data.draw)
    before = [array.copy() for array in arrays]
    value, backward = pull(op, arrays)
    cotangent = cotangent_like(value, seed)
    cotangent_before = cotangent.copy()
    first = [gradient.copy() for gradient in backward(cotangent)]
    for index, (gradient, again) in enumerate(zip(first, backward(cotangent), strict=True)):
        assert np.array_equal(gradient, again), f"{name}: the second way back differs in argument {index}"
    assert np.array_equal(cotangent, cotangent_before), f"{name}: the cotangent was written to"
    for array, copy in zip(arrays, before, strict=True):
        assert np.array_equal(array, copy), f"{name}: an argument was written to"


def second_derivative(function, arrays, vectors):
    """Return the Hessian–vector product of Σ sin(function) for all arguments."""
    argnums = tuple(range(len(arrays)))

    def slope(*moved):
        gradients = grad(lambda *inner: anp.sum(anp.sin(function(*inner))), argnums)(*moved)
        return sum(anp.sum(gradient * vector) for gradient, vector in zip(gradients, vectors, strict=True))

    return grad(slope, argnums)(*arrays)


@pytest.mark.parametrize("name", sorted(set(TWICE_DIFFERENTIABLE) - {"stop_gradient"}))
@given(data=st.data(), seed=seeds)
@settings(max_examples=10)
def test_hessian_vector_product_is_that_of_the_plain_definition(name, data, seed):
    op, plain, arrays = OPS[name](data.draw)
    vectors = [cotangent_like(array, seed + index) for index, array in enumerate(arrays)]
    for product, expected in zip(
        second_derivative(op, arrays, vectors), second_derivative(plain, arrays, vectors), strict=True
    ):
        np.testing.assert_allclose(product, expected, rtol=1e-10, atol=1e-11)


@given(data=st.data(), seed=seeds)
@settings(max_examples=10)
def test_a_stopped_gradient_stays_stopped_in_second_derivatives(data, seed):
    """With s = sg(x): d/dx Σ s² x³ = 3 s² x²; its derivative is 6 s² x, with nothing from s."""
    (x,) = OPS["stop_gradient"](data.draw).arrays
    vector = cotangent_like(x, seed)

    def first(y):
        return grad(lambda z: anp.sum(ops.stop_gradient(z) ** 2 * z**3))(y)

    np.testing.assert_allclose(first(x), 3 * x**4, rtol=1e-12)
    second = grad(lambda y: anp.sum(first(y) * vector))(x)
    assert second.dtype == np.float64
    np.testing.assert_allclose(second, 6 * x**3 * vector, rtol=1e-12)


@pytest.mark.parametrize("name", FUSED)
@given(data=st.data())
@settings(max_examples=3)
def test_a_second_derivative_of_a_fused_op_is_refused_by_name(name, data):
    op, _, arrays = OPS[name](data.draw)
    vectors = [np.ones_like(array) for array in arrays]
    with pytest.raises(NotImplementedError, match=f"^{name.split(',')[0]}: this op defines first derivatives only$"):
        second_derivative(op, arrays, vectors)


@pytest.mark.parametrize("name", FUSED)
@given(data=st.data())
@settings(max_examples=3)
def test_a_derivative_of_the_way_back_of_a_fused_op_is_refused_by_name(name, data):
    """The arguments are constants of the outer derivative; only the cotangent is not."""
    op, _, arrays = OPS[name](data.draw)

    def inner(factor):
        return anp.sum(grad(lambda first: anp.sum(factor * op(first, *arrays[1:])))(arrays[0]))

    with pytest.raises(NotImplementedError, match=f"^{name.split(',')[0]}: "):
        grad(inner)(2.0)
