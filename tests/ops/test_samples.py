"""A layer whose samples are shared among threads is the layer: up to rounding."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ops.op_cases import pull
from threadpoolctl import ThreadpoolController

from elt_ref import ops
from elt_ref.ops import counting, samples

WIDTH, HEADS = 8, 2


def arrays_of(layer, count, tokens, dtype, seed):
    normal = np.random.default_rng(seed).standard_normal
    shapes = [(WIDTH, 3 * WIDTH), 3 * WIDTH, (WIDTH, WIDTH), WIDTH, (WIDTH, 16), 16, (16, WIDTH), WIDTH]
    if layer == "post_norm_layer":
        shapes = [*shapes[:4], WIDTH, WIDTH, *shapes[4:], WIDTH, WIDTH]
        given_arrays = [(count, tokens, WIDTH)]
    else:
        given_arrays = [(count, tokens, WIDTH), (count, 6, WIDTH)]
    return [normal(shape).astype(dtype) for shape in (*given_arrays, *shapes)]


def on_threads(number, function, arrays):
    """Return the value and all gradients of a layer on so many threads, every state being large."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(samples.os, "cpu_count", lambda: 4)
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
        monkeypatch.setenv("ELT_REF_THREADS", str(number))
        monkeypatch.setattr(samples, "SMALLEST", 1)
        value, backward = pull(function, arrays)
        return value, backward(np.cos(value))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layer", ["post_norm_layer", "adaln_zero_layer", "some rows"])
@given(count=st.integers(1, 9), tokens=st.integers(1, 5), seed=st.integers(0, 99))
@settings(max_examples=12)
def test_on_any_number_of_threads_a_layer_is_the_same(layer, dtype, count, tokens, seed):
    more = {}
    if layer == "some rows":  # some samples may have none
        layer, chosen = "post_norm_layer", np.random.default_rng(seed).random(count * tokens) < 0.4
        more = {"rows": np.flatnonzero(chosen)}
    arrays = arrays_of(layer, count, tokens, dtype, seed)
    function = lambda *given_arrays: getattr(ops, layer)(*given_arrays, heads=HEADS, epsilon=1e-5, **more)  # noqa: E731
    alone, gradients = on_threads(1, function, arrays)
    assert np.array_equal(function(*arrays), alone), "a layer that keeps nothing is the same"
    for number in (2, 4):
        shared, shared_gradients = on_threads(number, function, arrays)
        for one, other in zip([shared, *shared_gradients], [alone, *gradients], strict=True):
            largest = np.abs(other).max(initial=0)
            np.testing.assert_allclose(one, other, rtol=0, atol=1e4 * np.finfo(dtype).eps * largest)


def shares(monkeypatch, stated, size, blas="1"):
    """Return the samples that each call got."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", blas)
    monkeypatch.setenv("ELT_REF_THREADS", stated)
    calls = []

    def value(x, *, keep):
        assert not keep, "nothing is differentiated"
        calls.append((len(x), threading.get_ident()))
        return x, None

    samples.by_samples(value, lambda *_: (), batched=1, name="tried")(np.zeros((7, 1, size)))
    return sorted(count for count, _ in calls)


def test_large_states_are_shared_and_small_ones_left_alone(monkeypatch):
    large = samples.SMALLEST
    monkeypatch.setattr(samples.os, "cpu_count", lambda: 2)
    assert shares(monkeypatch, "99", large) == [3, 4], "a thread a core"
    assert shares(monkeypatch, "2", large) == [3, 4]
    assert shares(monkeypatch, "1", large) == [7]
    assert shares(monkeypatch, "2", large // 7 - 1) == [7]
    assert shares(monkeypatch, "2", large, blas="2") == [7], "products of each share would have two threads"
    for word in ("", "many", "0", "9" * 5000):
        assert shares(monkeypatch, word, large) == [7], f"ELT_REF_THREADS={word}"


@pytest.fixture
def products():
    """How many threads products have now; the setting is put back."""
    libraries = ThreadpoolController().select(user_api="blas").lib_controllers
    before = [library.num_threads for library in libraries]
    yield lambda: {library.num_threads for library in libraries}
    for library, number in zip(libraries, before, strict=True):
        library.set_num_threads(number)


def test_products_have_the_threads_that_shares_leave(monkeypatch, products):
    monkeypatch.setattr(samples.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(samples, "_of_products", None)
    for stated, size, left in (("2", samples.SMALLEST, 1), ("2", 1, 2), ("2", samples.SMALLEST, 1)):
        shares(monkeypatch, stated, size)
        assert products() == {left}
    for library in ThreadpoolController().select(user_api="blas").lib_controllers:
        library.set_num_threads(2)
    monkeypatch.setattr(samples, "_of_products", None)
    shares(monkeypatch, "1", 1)
    assert products() == {2}, "who asks for no threads keeps the BLAS's own"


def test_shares_are_computed_at_once():
    meet = threading.Barrier(2)
    assert len(set(samples.at_once([lambda: (meet.wait(30), threading.get_ident())[1]] * 2))) == 2


def test_counted_work_stays_on_its_thread_and_is_the_same():
    arrays = arrays_of("post_norm_layer", 6, 3, np.float64, 0)
    function = lambda *given_arrays: ops.post_norm_layer(*given_arrays, heads=HEADS, epsilon=1e-5)  # noqa: E731
    counted = []
    for number in (1, 3):
        with counting() as work:
            on_threads(number, function, arrays)
        counted.append((work.macs, work.elementwise_flops))
    assert counted[0] == counted[1]


@pytest.mark.parametrize("place", [0, 1])
def test_an_error_in_any_share_is_raised_after_all_have_ended(place):
    ended = []

    def call(number):
        if number == place:
            raise ValueError(f"in share {number}")
        ended.append(number)

    with pytest.raises(ValueError, match=f"in share {place}"):
        samples.at_once([lambda: call(0), lambda: call(1)])
    assert ended == [1 - place]
