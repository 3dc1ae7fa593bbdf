"""A vector meets every row: as NumPy's own broadcast does, to the bit, however many copies of it are made."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
        combine_rows(function, x, vector, output)
        combine_rows(function, x, vector, x)
    assert np.array_equal(output, expected)
    assert np.array_equal(x, expected)


def test_many_rows_meet_copies_that_fill_the_buffer_and_few_meet_the_vector_itself():
    met = []

    def recorded(rows, vector, out):
        met.append((rows.shape, vector.shape))
        np.add(rows, vector, out=out)

    for count in (1000, 1030):
        x = np.zeros((count, 128), np.float32)
        combine_rows(recorded, x, np.ones(128, np.float32), x)
        assert (x == 1).all()
    assert met == [((15, 8192), (8192,)), ((40, 128), (128,)), ((16, 8192), (8192,)), ((6, 128), (128,))]
    met.clear()
    combine_rows(recorded, x[:511], np.ones(128, np.float32), x[:511])
    assert met == [((511, 128), (128,))]
