"""Every op reports the work that its file states, as exact integers of the shapes, forward and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ops.op_cases import attention_of, pull

from elt_ref import ops

BATCH, TOKENS, WIDTH, OUTPUTS, HEADS = 2, 3, 8, 5, 2
ROWS, SIZE, SCORES = BATCH * TOKENS, BATCH * TOKENS * WIDTH, BATCH * HEADS * TOKENS**2
CHOSEN = 4  # rows of weight other than zero


def normal(*shape):
    return np.random.default_rng(0).standard_normal(shape)


X, WEIGHT, BIAS = normal(BATCH, TOKENS, WIDTH), normal(WIDTH, OUTPUTS), normal(OUTPUTS)
SCALE, SHIFT = normal(2, WIDTH)
IDS = np.random.default_rng(0).integers(4, size=(BATCH, TOKENS))
WEIGHTS = np.array([[1, 0, 2], [0, 3, 4]], float)
assert np.count_nonzero(WEIGHTS) == CHOSEN

# op, arrays, (MACs, element-wise FLOPs) of the value, of the way back to all arrays
OPS = {
    "linear": (
        ops.linear,
        [X, WEIGHT, BIAS],
        (ROWS * WIDTH * OUTPUTS, ROWS * OUTPUTS),
        (2 * ROWS * WIDTH * OUTPUTS, ROWS * OUTPUTS),
    ),
    "layer_norm": (
        lambda x, s, b: ops.layer_norm(x, s, b, epsilon=1e-6),
        [X, SCALE, SHIFT],
        (0, 7 * SIZE + 5 * ROWS),
        (0, 11 * SIZE),
    ),
    "residual_layer_norm": (
        lambda x, u, s, b: ops.residual_layer_norm(x, u, s, b, epsilon=1e-6),
        [X, X + 1, SCALE, SHIFT],
        (0, 8 * SIZE + 5 * ROWS),
        (0, 11 * SIZE),
    ),
    "gelu": (ops.gelu, [X], (0, 9 * SIZE), (0, 13 * SIZE)),
    "attention": (
        lambda x: attention_of(x, HEADS),
        [normal(BATCH, TOKENS, 3 * WIDTH)],
        (2 * BATCH * TOKENS**2 * WIDTH, 6 * SCORES),
        (4 * BATCH * TOKENS**2 * WIDTH, 5 * SCORES),
    ),
    "embedding": (lambda table: ops.embedding(table, IDS), [normal(4, WIDTH)], (0, 0), (0, SIZE)),
    "unembedding": (
        ops.unembedding,
        [X, normal(OUTPUTS + 2, WIDTH), BIAS],
        (ROWS * WIDTH * OUTPUTS, ROWS * OUTPUTS),
        (2 * ROWS * WIDTH * OUTPUTS, ROWS * OUTPUTS),
    ),
    "softmax": (ops.softmax, [X], (0, 5 * SIZE), (0, 4 * SIZE)),
    "softmax_cross_entropy, hard": (
        lambda x: ops.softmax_cross_entropy(x, IDS, WEIGHTS),
        [X],
        (0, 7 * CHOSEN * WIDTH),
        (0, 2 * CHOSEN * WIDTH),
    ),
    "softmax_cross_entropy, soft": (
        lambda x, t: ops.softmax_cross_entropy(x, t, WEIGHTS),
        [X, ops.softmax(X)],
        (0, 9 * CHOSEN * WIDTH),
        (0, 2 * CHOSEN * WIDTH),
    ),
    "drop_first": (ops.drop_first, [X], (0, 0), (0, 0)),
    "stop_gradient": (lambda x: ops.stop_gradient(x) + 0 * x, [X], (0, 0), (0, 0)),
    "rematerialise": (
        lambda x, w, b: ops.rematerialise(lambda x, tree: ops.linear(x, *tree))(x, [w, b]),
        [X, WEIGHT, BIAS],
        (ROWS * WIDTH * OUTPUTS, ROWS * OUTPUTS),
        (3 * ROWS * WIDTH * OUTPUTS, 2 * ROWS * OUTPUTS),  # the value once more, and the way back
    ),
}


@pytest.mark.parametrize("name", OPS)
def test_work_is_the_stated_function_of_the_shapes(name):
    op, arrays, forward, back = OPS[name]
    with ops.counting() as value_work:
        value, backward = pull(op, arrays)
    assert (value_work.macs, value_work.elementwise_flops) == forward, f"{name}: work of the value"
    with ops.counting() as way_back_work:
        backward(np.ones_like(value))
    assert (way_back_work.macs, way_back_work.elementwise_flops) == back, f"{name}: work of the way back"
    for work in (value_work, way_back_work):
        passes = sum(count * elements for (_, elements), count in work.passes.items())
        assert bool(passes) == bool(work.elementwise_flops), f"{name}: passes without FLOPs, or FLOPs without a pass"


@given(st.lists(st.integers(0, 5), max_size=4), st.lists(st.integers(0, 5), max_size=4))
@settings(max_examples=20)
def test_an_inner_block_counts_for_itself_and_for_the_outer_one(outside, inside):
    with ops.counting() as outer:
        for macs in outside:
            ops.count_work(macs=macs, elementwise_flops=2 * macs)
        with ops.counting() as inner:
            for macs in inside:
                ops.count_work(macs=macs, elementwise_flops=1)
                ops.count_call("part")
        ops.count_call("part")
    assert (inner.macs, inner.elementwise_flops, inner.calls["part"]) == (sum(inside), len(inside), len(inside))
    assert outer.macs == sum(outside) + sum(inside)
    assert outer.elementwise_flops == 2 * sum(outside) + len(inside)
    assert outer.calls["part"] == len(inside) + 1
    assert outer.flops == 2 * outer.macs + outer.elementwise_flops


def test_nothing_is_counted_after_the_block():
    with ops.counting() as work:
        ops.gelu(X)
    counted = work.flops
    ops.gelu(X)
    ops.count_call("part")
    assert work.flops == counted
    assert not work.calls


def test_an_error_inside_a_block_leaves_the_outer_count_right():
    def counts_and_fails():
        with ops.counting():
            ops.count_work(macs=3)
            raise ValueError("inside")

    with ops.counting() as outer:
        with pytest.raises(ValueError, match="inside"):
            counts_and_fails()
        ops.count_work(macs=4)
    assert outer.macs == 7
