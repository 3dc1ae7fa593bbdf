"""The two sums against `math.fsum`, which rounds once."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elt_ref.ops.sums import last_axis_sum, sum_of_rows

shapes = st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40))
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@every_dtype
@given(shapes, st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_sums_are_those_of_exact_arithmetic(dtype, shape, seed):
    x = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    tolerance = 100 * np.finfo(dtype).eps
    rows, columns = last_axis_sum(x), sum_of_rows(x)
    assert (rows.shape, columns.shape) == ((*shape[:2], 1), (shape[0], shape[2]))
    assert rows.dtype == columns.dtype == dtype
    for batch in range(shape[0]):
        for row in range(shape[1]):
            assert abs(rows[batch, row, 0] - math.fsum(x[batch, row])) <= tolerance
        for column in range(shape[2]):
            assert abs(columns[batch, column] - math.fsum(x[batch, :, column])) <= tolerance


@every_dtype
def test_sums_of_views_that_are_not_contiguous(dtype):
    x = np.arange(60).reshape(3, 4, 5).astype(dtype).swapaxes(0, 2)[:, ::2]
    np.testing.assert_array_equal(last_axis_sum(x)[..., 0], x.sum(axis=-1))
    np.testing.assert_array_equal(sum_of_rows(x), x.sum(axis=-2))
