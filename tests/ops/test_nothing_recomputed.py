"""The way back uses what the value kept: no exponential, no root, no normalisation is computed a second time."""

from collections import Counter

import numpy as np
import pytest
from ops.op_cases import attention_of, pull

from elt_ref import ops
from elt_ref.ops.logistic import BY_TANH

GENERATOR = np.random.default_rng(0)
ROWS = GENERATOR.standard_normal((2, 5, 12))
WEIGHTS = np.ones((2, 5))
SOFT = ops.softmax(GENERATOR.standard_normal(ROWS.shape))
HARD = np.zeros((2, 5), dtype=np.int64)
SCALE, BIAS = GENERATOR.standard_normal((2, 12))

LOGISTIC = "tanh" if BY_TANH else "exp"
LAYER = [GENERATOR.standard_normal(shape) for shape in ((4, 12), 12, (4, 4), 4, (4, 8), 8, (8, 4), 4)]
STATE, NORMS = GENERATOR.standard_normal((2, 3, 4)), list(GENERATOR.standard_normal((4, 4)))

# op, arrays, functions called by the value, functions called on the way back
OPS = {
    "gelu": (ops.gelu, [ROWS], {LOGISTIC: 1}, {}),
    "softmax": (ops.softmax, [ROWS], {"exp": 1}, {}),
    "attention": (lambda x: attention_of(x, 2), [ROWS], {"exp": 1}, {}),
    "layer_norm": (lambda x, s, b: ops.layer_norm(x, s, b, epsilon=1e-6), [ROWS, SCALE, BIAS], {"sqrt": 1}, {}),
    "residual_layer_norm": (
        lambda x, u, s, b: ops.residual_layer_norm(x, u, s, b, epsilon=1e-6),
        [ROWS, ROWS[::-1], SCALE, BIAS],
        {"sqrt": 1},
        {},
    ),
    "post_norm_layer": (
        lambda *arrays: ops.post_norm_layer(*arrays, heads=2, epsilon=1e-6),
        [STATE, *LAYER[:4], *NORMS[:2], *LAYER[4:], *NORMS[2:]],
        Counter(["exp", LOGISTIC, "sqrt", "sqrt"]),
        {},
    ),
    "adaln_zero_layer": (
        lambda *arrays: ops.adaln_zero_layer(*arrays, heads=2, epsilon=1e-6),
        [STATE, GENERATOR.standard_normal((2, 6, 4)), *LAYER],
        Counter(["exp", LOGISTIC, "sqrt", "sqrt"]),
        {},
    ),
    "softmax_cross_entropy, hard": (
        lambda x: ops.softmax_cross_entropy(x, HARD, WEIGHTS),
        [ROWS],
        {"exp": 2, "log": 1},
        {},
    ),
    "softmax_cross_entropy, soft": (
        lambda x, t: ops.softmax_cross_entropy(x, t, WEIGHTS),
        [ROWS, SOFT],
        {"exp": 2, "log": 1},
        {},
    ),
}


@pytest.fixture
def called(monkeypatch):
    """Count the calls of NumPy's transcendental functions."""
    calls = Counter()

    def counted(name, function):
        def call(*arrays, **settings):
            calls[name] += 1
            return function(*arrays, **settings)

        return call

    for name in ("exp", "exp2", "expm1", "tanh", "sqrt", "log", "log1p", "power", "var", "std"):
        monkeypatch.setattr(np, name, counted(name, getattr(np, name)))
    return calls


@pytest.mark.parametrize("name", OPS)
def test_the_way_back_calls_no_transcendental_function_again(name, called):
    op, arrays, forward, back = OPS[name]
    value, backward = pull(op, arrays)
    assert called == forward, f"{name}: the value should call {forward}"
    called.clear()
    backward(np.ones_like(value))
    assert called == back, f"{name}: the way back should call {back or 'none'}"


def kept_inputs(name):
    """Return how many leading arguments the way back must not look at: it has something better.

    GELU needs its input, attention the keys and values that are part of its, a linear map its input.
    """
    return {"gelu": 0, "attention": 0, "post_norm_layer": 0, "residual_layer_norm": 2}.get(name, 1)


@pytest.mark.parametrize("name", [name for name in OPS if kept_inputs(name)])
def test_the_way_back_does_not_look_at_the_inputs_again(name):
    """Overwriting them after the value is known changes no gradient."""
    op, arrays, _, _ = OPS[name]
    arrays = [array.copy() for array in arrays]
    value, backward = pull(op, arrays)
    cotangent = np.random.default_rng(1).standard_normal(np.shape(value))
    expected = [gradient.copy() for gradient in backward(cotangent)]
    for array in arrays[: kept_inputs(name)]:
        array[...] = np.nan
    for gradient, unchanged in zip(backward(cotangent), expected, strict=True):
        assert np.array_equal(gradient, unchanged), f"{name}: the way back read an input again"


def test_attention_multiplies_four_matrices_on_the_way_back_not_five():
    """Five would be the four products of the derivative and the scores once more."""
    value, backward = pull(lambda x: attention_of(x, 2), [ROWS])
    with ops.counting() as work:
        backward(np.ones_like(value))
    assert work.macs == 4 * 2 * 5**2 * 4
