"""Large arrays are split by rows over threads, and every number stays as on one thread."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ops.op_cases import attention_of, pull

from elt_ref import ops
from elt_ref.ops import pool


def numbers(function, arrays, threads, monkeypatch):
    """Return the value and all gradients of an op on so many threads, every array being large."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", str(threads))
    monkeypatch.setattr(pool, "SMALLEST", 1)
    value, backward = pull(function, arrays)
    return [value, *backward(np.cos(value))]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("op", [ops.gelu, lambda x: attention_of(x, 2)], ids=["gelu", "attention"])
@given(rows=st.integers(1, 9), tokens=st.integers(1, 5), seed=st.integers(0, 99))
@settings(max_examples=12)
def test_the_same_bits_on_any_number_of_threads(op, dtype, rows, tokens, seed):
    x = np.random.default_rng(seed).standard_normal((rows, tokens, 12)).astype(dtype)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(pool.os, "cpu_count", lambda: 4)
        alone, two, four = (numbers(op, [x], threads, monkeypatch) for threads in (1, 2, 4))
    for other in (two, four):
        assert all(map(np.array_equal, alone, other))


def shares(monkeypatch, threads, size):
    """Return the rows that each call got, and how many threads made the calls."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", threads)
    calls = []
    pool.by_rows(lambda array: calls.append((len(array), threading.get_ident())), np.zeros((7, size)))
    return sorted(rows for rows, _ in calls)


def test_large_arrays_are_shared_and_small_ones_left_alone(monkeypatch):
    large = pool.SMALLEST
    monkeypatch.setattr(pool.os, "cpu_count", lambda: 2)
    assert shares(monkeypatch, "99", large) == [3, 4], "a thread a core"
    assert shares(monkeypatch, "2", large) == [3, 4]
    assert shares(monkeypatch, "1", large) == [7]
    assert shares(monkeypatch, "2", large // 7 - 1) == [7]
    for word in ("", "many", "0", "9" * 5000):
        assert shares(monkeypatch, word, large) == [7], f"OPENBLAS_NUM_THREADS={word}"


def test_an_error_on_another_thread_is_raised(monkeypatch):
    monkeypatch.setattr(pool.os, "cpu_count", lambda: 2)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    monkeypatch.setattr(pool, "SMALLEST", 1)

    def fails(array):
        if array[0] == 3:
            raise ValueError("in the second share")

    with pytest.raises(ValueError, match="in the second share"):
        pool.by_rows(fails, np.arange(6))
