"""Every op with its plain definition, which is the oracle: the line of the masked page, where the page has that op."""

from collections.abc import Callable
from typing import NamedTuple
from unittest import mock

import autograd.numpy as anp
import numpy as np
from autograd import make_vjp
from hypothesis import strategies as st

from elt_ref import ops
from elt_ref.ops.attention import attend, attend_vjp
from elt_ref.ops.embedding import scatter_rows
from elt_ref.ops.fused import fused
from elt_ref.paper import diffusion, masked


class Case(NamedTuple):
    op: Callable
    """The op as a function of the differentiable arrays."""
    plain: Callable
    """The definition: the same function, as autograd differentiates it."""
    arrays: list[np.ndarray]


def pull(function, arrays):
    """Return the value, and the way back to all arrays at once."""
    backward, value = make_vjp(function, tuple(range(len(arrays))))(*arrays)
    return value, backward


def shape_of(draw, axes):
    return tuple(draw(st.lists(st.integers(1, 4), min_size=axes, max_size=axes)))


def generator_of(draw):
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1)))


def linear(draw):
    batch, inputs, outputs = shape_of(draw, draw(st.integers(0, 2))), draw(st.integers(1, 6)), draw(st.integers(1, 6))
    normal = generator_of(draw).standard_normal
    arrays = [normal((*batch, inputs)), normal((inputs, outputs)), normal(outputs)]
    return Case(ops.linear, masked.linear, arrays)


def plain_layer_norm(x, scale, bias, epsilon):
    with mock.patch.object(masked, "NORM_EPSILON", epsilon):
        return masked.layer_norm(x, scale, bias)


def norm_arrays(draw, inputs):
    """Return `inputs` arrays of rows that vary (so that differences can measure the derivative), scale and bias."""
    batch, width = shape_of(draw, draw(st.integers(1, 2))), draw(st.integers(4, 8))
    generator = generator_of(draw)
    rows = [
        np.linspace(-2, 2, width) + 0.3 * generator.standard_normal((*batch, width)) + generator.standard_normal()
        for _ in range(inputs)
    ]
    return [*rows, generator.standard_normal(width), generator.standard_normal(width)]


epsilons = st.sampled_from([1e-12, 1e-6, 0.1])


def layer_norm(draw):
    epsilon = draw(epsilons)
    return Case(
        lambda x, scale, bias: ops.layer_norm(x, scale, bias, epsilon=epsilon),
        lambda x, scale, bias: plain_layer_norm(x, scale, bias, epsilon),
        norm_arrays(draw, 1),
    )


def residual_layer_norm(draw):
    epsilon = draw(epsilons)
    return Case(
        lambda x, update, scale, bias: ops.residual_layer_norm(x, update, scale, bias, epsilon=epsilon),
        lambda x, update, scale, bias: plain_layer_norm(x + update, scale, bias, epsilon),
        norm_arrays(draw, 2),
    )


def gelu(draw):
    shape = (*shape_of(draw, draw(st.integers(0, 2))), 8)  # alone, a number at the minimum would have no gradient
    return Case(
        ops.gelu,
        masked.gelu,
        [2 * generator_of(draw).standard_normal(shape)],
    )


def plain_attention(query_key_value, heads):
    """Return the page's attention with both of its linear maps the identity."""

    def identity(width):
        return {"weight": np.eye(width), "bias": np.zeros(width)}

    width = query_key_value.shape[-1]
    with mock.patch.object(masked, "HEADS", heads):
        return masked.attention(query_key_value, query_key_value=identity(width), output=identity(width // 3))


def _thirds(joint, heads):
    batch, tokens, widths = joint.shape
    return joint.reshape(batch, tokens, 3, heads, widths // 3 // heads).transpose(2, 0, 3, 1, 4)


def _joint_value(joint, *, heads):
    query, key, value = _thirds(joint, heads)
    attended = attend(query, key, value)
    return attended.output.reshape(*joint.shape[:2], -1), attended


def _joint_vjp(cotangent, attended, *, heads):
    gradient = np.empty((*cotangent.shape[:2], 3 * cotangent.shape[2]), cotangent.dtype)
    attend_vjp(cotangent.reshape(attended.output.shape), attended, *_thirds(gradient, heads))
    return (gradient,)


_attention = fused(_joint_value, _joint_vjp, name="attention")


def attention_of(query_key_value, heads):
    """Return the joined heads of queries, keys and values: the inner part of a layer's attention, as an op."""
    return _attention(query_key_value, heads=heads)


def attention(draw):
    batch, tokens, heads, head_width = shape_of(draw, 4)
    return Case(
        lambda x: attention_of(x, heads),
        lambda x: plain_attention(x, heads),
        [generator_of(draw).standard_normal((batch, tokens + 1, 3 * heads * head_width))],
    )


def layer_arrays(draw, heads):
    """Return a state whose rows vary, and weights and biases of the joint, output, up and down maps."""
    batch, tokens = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    width = heads * draw(st.integers(2, 4)) * (2 if heads == 1 else 1)
    normal = generator_of(draw).standard_normal
    state = np.linspace(-2, 2, width) + 0.3 * normal((batch, tokens, width))
    sizes = [(width, 3 * width), (width, width), (width, 2 * width), (2 * width, width)]
    return state, [array for size in sizes for array in (0.5 * normal(size), 0.5 * normal(size[1]))]


def rows_of(draw, state):
    """Return some rows of the flattened state, in order; also none of a sample, or none at all."""
    count = len(state) * state.shape[1]
    return np.array(draw(st.lists(st.integers(0, count - 1), unique=True).map(sorted)), np.int64)


def pairs(tree):
    return {"weight": tree[0], "bias": tree[1]}


def post_norm_layer(draw):
    heads, epsilon = draw(st.integers(1, 2)), draw(epsilons)
    state, (jw, jb, ow, ob, uw, ub, dw, db) = layer_arrays(draw, heads)
    norms = list(1 + 0.3 * generator_of(draw).standard_normal((4, state.shape[-1])))
    rows = draw(st.none() | st.just(rows_of(draw, state)))

    def plain(x, jw, jb, ow, ob, s1, b1, uw, ub, dw, db, s2, b2):
        theta = {
            "attention": {"query_key_value": pairs((jw, jb)), "output": pairs((ow, ob))},
            "attention_norm": {"scale": s1, "bias": b1},
            "mlp": {"up": pairs((uw, ub)), "down": pairs((dw, db))},
            "mlp_norm": {"scale": s2, "bias": b2},
        }
        with mock.patch.multiple(masked, HEADS=heads, NORM_EPSILON=epsilon):
            y = masked.layer(x, theta)
        return y if rows is None else anp.reshape(y, (-1, y.shape[-1]))[rows]

    return Case(
        lambda *arrays: ops.post_norm_layer(*arrays, heads=heads, epsilon=epsilon, rows=rows),
        plain,
        [state, jw, jb, ow, ob, *norms[:2], uw, ub, dw, db, *norms[2:]],
    )


def adaln_zero_layer(draw):
    heads, epsilon = draw(st.integers(1, 2)), draw(epsilons)
    state, arrays = layer_arrays(draw, heads)
    modulation = generator_of(draw).standard_normal((len(state), 6, state.shape[-1]))

    def plain(x, modulation, jw, jb, ow, ob, uw, ub, dw, db):
        theta = {
            "attention": {"query_key_value": pairs((jw, jb)), "output": pairs((ow, ob))},
            "mlp": {"up": pairs((uw, ub)), "down": pairs((dw, db))},
            "modulation": None,
        }
        chunks = [modulation[:, chunk : chunk + 1] for chunk in range(6)]
        given = {"HEADS": heads, "NORM_EPSILON": epsilon, "modulation": lambda *_: chunks}
        with mock.patch.multiple(diffusion, **given):
            return diffusion.layer(x, None, theta)

    return Case(
        lambda *arrays: ops.adaln_zero_layer(*arrays, heads=heads, epsilon=epsilon),
        plain,
        [state, modulation, *arrays],
    )


def mask_of(draw, state):
    mask = np.zeros(state.shape[:-1], bool)
    mask.flat[rows_of(draw, state)] = True
    return mask


def take_rows(draw):
    state = layer_arrays(draw, 1)[0]
    mask = mask_of(draw, state)
    return Case(
        lambda x: ops.take_rows(x, mask),
        lambda x: anp.reshape(x, (-1, x.shape[-1]))[np.flatnonzero(mask)],
        [state],
    )


def put_rows(draw):
    state = layer_arrays(draw, 1)[0]
    mask, width = mask_of(draw, state), state.shape[-1]
    place = np.eye(mask.size)[:, np.flatnonzero(mask)]
    return Case(
        lambda x: ops.put_rows(x, mask),
        lambda x: anp.reshape(anp.dot(place, x), state.shape),
        [generator_of(draw).standard_normal((int(mask.sum()), width))],
    )


def embedding(draw):
    generator, rows, width = generator_of(draw), draw(st.integers(1, 5)), draw(st.integers(1, 4))
    ids = generator.integers(rows, size=shape_of(draw, draw(st.integers(1, 2))))
    return Case(
        lambda table: ops.embedding(table, ids),
        lambda table: anp.dot(np.eye(rows)[ids], table),
        [generator.standard_normal((rows, width))],
    )


def scatter(draw):
    generator, rows, width = generator_of(draw), draw(st.integers(1, 5)), draw(st.integers(1, 4))
    ids = generator.integers(rows, size=shape_of(draw, draw(st.integers(1, 2))))
    return Case(
        lambda updates: scatter_rows(updates, ids, rows=rows),
        lambda updates: anp.dot(np.eye(rows)[ids.reshape(-1)].T, anp.reshape(updates, (-1, width))),
        [generator.standard_normal((*ids.shape, width))],
    )


def unembedding(draw):
    batch, width = shape_of(draw, draw(st.integers(1, 2))), draw(st.integers(1, 4))
    outputs = draw(st.integers(1, 4))
    rows = outputs + draw(st.integers(0, 3))
    normal = generator_of(draw).standard_normal
    return Case(
        ops.unembedding,
        lambda x, table, bias: anp.dot(x, table[:outputs].T) + bias,
        [normal((*batch, width)), normal((rows, width)), normal(outputs)],
    )


def softmax(draw):
    shape = (*shape_of(draw, draw(st.integers(0, 2))), draw(st.integers(2, 6)))
    return Case(
        ops.softmax,
        lambda x: anp.exp(masked.log_softmax(x)),
        [2 * generator_of(draw).standard_normal(shape)],
    )


def weights_of(generator, batch):
    """Return weights of positions, about a third of them zero and the first certainly not."""
    weights = generator.uniform(0.5, 2, batch) * (generator.random(batch) < 0.7)
    weights.flat[0] = 1.0
    return weights


def hard_cross_entropy(draw):
    generator, batch, values = generator_of(draw), shape_of(draw, draw(st.integers(1, 2))), draw(st.integers(2, 5))
    targets, weights = generator.integers(values, size=batch), weights_of(generator, batch)
    return Case(
        lambda logits: ops.softmax_cross_entropy(logits, targets, weights.astype(logits.dtype)),
        lambda logits: masked.cross_entropy(np.eye(values)[targets], masked.log_softmax(logits), weights),
        [2 * generator.standard_normal((*batch, values))],
    )


def soft_cross_entropy(draw):
    """Targets that are positive but no distribution: the derivative must be right for those, too."""
    generator, batch, values = generator_of(draw), shape_of(draw, draw(st.integers(1, 2))), draw(st.integers(2, 5))
    weights = weights_of(generator, batch)
    return Case(
        lambda logits, targets: ops.softmax_cross_entropy(logits, targets, weights.astype(logits.dtype)),
        lambda logits, targets: masked.cross_entropy(targets, masked.log_softmax(logits), weights),
        [2 * generator.standard_normal((*batch, values)), generator.uniform(0.1, 1, (*batch, values))],
    )


def drop_first(draw):
    batch, tokens, width = shape_of(draw, 3)
    return Case(ops.drop_first, lambda x: x[:, 1:], [generator_of(draw).standard_normal((batch, tokens + 1, width))])


def stop_gradient(draw):
    """X sg(x): one factor is held."""
    x = generator_of(draw).standard_normal(shape_of(draw, 2))
    return Case(lambda y: y * ops.stop_gradient(y), lambda y: y * x.astype(y.dtype), [x])


def rematerialise(draw):
    tokens, width = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    normal = generator_of(draw).standard_normal

    def op(x, weight, bias):
        block = ops.rematerialise(lambda x, tree: ops.gelu(ops.linear(x, tree["weight"], tree["bias"])))
        return block(x, {"weight": weight, "bias": bias})

    def plain(x, weight, bias):
        return masked.gelu(masked.linear(x, weight, bias))

    return Case(op, plain, [normal((tokens, width)), normal((width, width)), normal(width)])


OPS = {
    "linear": linear,
    "layer_norm": layer_norm,
    "residual_layer_norm": residual_layer_norm,
    "gelu": gelu,
    "attention": attention,
    "post_norm_layer": post_norm_layer,
    "adaln_zero_layer": adaln_zero_layer,
    "take_rows": take_rows,
    "put_rows": put_rows,
    "embedding": embedding,
    "scatter_rows": scatter,
    "unembedding": unembedding,
    "softmax": softmax,
    "softmax_cross_entropy, hard": hard_cross_entropy,
    "softmax_cross_entropy, soft": soft_cross_entropy,
    "drop_first": drop_first,
    "stop_gradient": stop_gradient,
    "rematerialise": rematerialise,
}
FUSED = sorted(set(OPS) - {"linear", "embedding", "scatter_rows", "stop_gradient", "take_rows", "put_rows"})
TWICE_DIFFERENTIABLE = sorted(set(OPS) - set(FUSED))
