"""A vector meets every row: as NumPy's own broadcast does, to the bit, however many copies of it are made."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ops.op_cases import pull

from elt_ref import ops
from elt_ref.ops import broadcast
from elt_ref.ops.broadcast import combine_rows


@pytest.mark.parametrize("function", [np.add, np.multiply])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(rows=st.integers(0, 40), width=st.integers(1, 20), buffer=st.integers(1, 64), seed=st.integers(0, 99))
@settings(max_examples=40)
def test_the_same_bits_as_a_plain_broadcast(function, dtype, rows, width, buffer, seed):
    generator = np.random.default_rng(seed)
    x, vector = generator.standard_normal((rows, width)).astype(dtype), generator.standard_normal(width).astype(dtype)
    expected, output = function(x, vector), np.full_like(x, np.nan)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(broadcast, "SMALLEST", 1)
        monkeypatch.setattr(broadcast, "BUFFER", buffer)
        assert combine_rows(function, x, vector, output) is output
        alone = combine_rows(function, x, vector)
        across = combine_rows(function, x, vector, np.empty_like(x, order="F"))
        combine_rows(function, x, vector, x)
    assert np.array_equal(across, expected)
    assert np.array_equal(output, expected)
    assert np.array_equal(alone, expected)
    assert np.array_equal(x, expected)


@pytest.mark.parametrize("order", ["C", "F"])
def test_ops_take_arrays_of_any_order(order, monkeypatch):
    monkeypatch.setattr(broadcast, "SMALLEST", 1)
    monkeypatch.setattr(broadcast, "BUFFER", 8)
    generator = np.random.default_rng(0)
    scale, bias = generator.standard_normal((2, 5))
    plain = generator.standard_normal((3, 4, 5))
    x = np.asarray(plain, order=order)
    for op in (
        lambda x: ops.layer_norm(x, scale, bias, epsilon=1e-5),
        lambda x: ops.residual_layer_norm(x, x, scale, bias, epsilon=1e-5),
        lambda x: ops.linear(x, np.outer(scale, bias), bias),
    ):
        expected, expected_backward = pull(op, [plain])
        value, backward = pull(op, [x])
        np.testing.assert_allclose(value, expected, rtol=1e-13)
        for cotangent in (plain, x):
            np.testing.assert_allclose(backward(cotangent)[0], expected_backward(plain)[0], rtol=1e-12)


def test_many_rows_meet_copies_that_fill_the_buffer_and_few_meet_the_vector_itself():
    met = []

    def recorded(rows, vector, out):
        met.append((rows.shape, vector.shape))
        return np.add(rows, vector, out=out)

    for count in (1000, 1030):
        x = np.zeros((count, 128), np.float32)
        combine_rows(recorded, x, np.ones(128, np.float32), x)
        assert (x == 1).all()
    assert met == [((15, 8192), (8192,)), ((40, 128), (128,)), ((16, 8192), (8192,)), ((6, 128), (128,))]
    met.clear()
    combine_rows(recorded, x[:511], np.ones(128, np.float32), x[:511])
    assert met == [((511, 128), (128,))]
