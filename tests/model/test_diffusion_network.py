"""The diffusion network against a version written from DiT's description, one sample, token and head at a time."""

import math

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import DIFFUSION, open_network, random_parameters
from networks import make_diffusion_config as make_config

from elt_ref.arrays import DTYPES, tree_leaves
from elt_ref.config import DiffusionModelConfig
from elt_ref.errors import RequestError
from elt_ref.measure import count
from elt_ref.model import adaln_zero_layer, forward, init_parameters, loop_states
from elt_ref.model.diffusion import patchify, unpatchify
from elt_ref.model.positions import sine_cosine_positions, time_features
from elt_ref.ops import counting, value_and_gradient


def random_inputs(config, batch=2, seed=0):
    generator, model = np.random.default_rng(seed), config.model
    noisy = generator.standard_normal((batch, *model.shape)).astype(DTYPES[config.training.dtype])
    return noisy, generator.random(batch), generator.integers(model.classes + 1, size=batch)


@st.composite
def examples(draw, **fixed):
    heads, size = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    drawn = {
        "layers": draw(st.integers(1, 2)),
        "heads": heads,
        "width": 4 * heads,
        "mlp_width": draw(st.integers(1, 8)),
        "patch_size": size,
        "shape": (size * draw(st.integers(1, 3)), size * draw(st.integers(1, 3)), draw(st.integers(1, 4))),
        "classes": draw(st.integers(1, 3)),
        "time_features": 2 * draw(st.integers(1, 4)),
    }
    config = make_config(**(drawn | fixed))
    seed = draw(st.integers(0, 2**32 - 1))
    return config, random_parameters(config, seed), random_inputs(config, draw(st.integers(1, 3)), seed)


# The oracle: numbers of 80 bits, one sample after the other.


def wide(array):
    return np.asarray(array).astype(np.longdouble)


def dense(x, linear):
    return x @ wide(linear["weight"]) + wide(linear["bias"])


def plain_norm(row, epsilon):
    mean = sum(row) / len(row)
    return (row - mean) / np.sqrt(sum((row - mean) ** 2) / len(row) + epsilon)


def plain_silu(x):
    return x / (1 + np.exp(-x))


def plain_gelu(x):
    return x / 2 * (1 + np.tanh(np.sqrt(wide(2) / np.arccos(wide(-1))) * (x + wide(0.044715) * x**3)))


def plain_attention(sequence, parameters, heads):
    width = sequence.shape[1]
    joint = dense(sequence, parameters["query_key_value"])
    query, key, value = joint[:, :width], joint[:, width : 2 * width], joint[:, 2 * width :]
    output = np.zeros_like(sequence)
    for head in range(heads):
        own = slice(head * width // heads, (head + 1) * width // heads)
        for token in range(len(sequence)):
            powers = np.exp(key[:, own] @ query[token, own] / np.sqrt(wide(width // heads)))
            output[token, own] = (powers / sum(powers)) @ value[:, own]
    return dense(output, parameters["output"])


def plain_layer(parameters, sequence, modulation, heads, epsilon):
    """DiT's block; the modulation is flat: shift, scale, gate of the attention, then of the MLP."""
    width = sequence.shape[1]
    shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = (modulation[i * width : (i + 1) * width] for i in range(6))
    normed = np.stack([plain_norm(row, epsilon) * (1 + scale) + shift for row in sequence])
    sequence = sequence + gate * plain_attention(normed, parameters["attention"], heads)
    normed = np.stack([plain_norm(row, epsilon) * (1 + mlp_scale) + mlp_shift for row in sequence])
    return sequence + mlp_gate * dense(plain_gelu(dense(normed, parameters["mlp"]["up"])), parameters["mlp"]["down"])


def plain_positions(model):
    rows, columns = model.grid
    quarter = model.width // 4
    table = []
    for row in range(rows):
        for column in range(columns):
            frequencies = [10000 ** (-k / quarter) for k in range(quarter)]
            table.append(
                [math.sin(column * f) for f in frequencies]
                + [math.cos(column * f) for f in frequencies]
                + [math.sin(row * f) for f in frequencies]
                + [math.cos(row * f) for f in frequencies]
            )
    return np.array(table)


def plain_forward(parameters, config, noisy, time, label, loops):
    """One sample."""
    model, size, tables = config.model, config.model.patch_size, parameters["embedding"]
    height, width, channels = model.shape
    half = model.time_features // 2
    angles = [model.time_scale * time * 10000 ** (-i / half) for i in range(half)]
    features = wide([math.cos(a) for a in angles] + [math.sin(a) for a in angles])
    hidden = dense(plain_silu(dense(features, tables["time_in"])), tables["time_out"])
    conditioning = plain_silu(hidden + wide(tables["label"])[label])
    patches = [
        [noisy[top + p, left + q, c] for c in range(channels) for p in range(size) for q in range(size)]
        for top in range(0, height, size)
        for left in range(0, width, size)
    ]
    x = dense(wide(patches), tables["patch"]) + plain_positions(model)
    for _ in range(loops):
        for layer in parameters["block"]:
            x = plain_layer(layer, x, dense(conditioning, layer["modulation"]), model.heads, model.layer_norm_epsilon)
    shift, scale = np.split(dense(conditioning, parameters["head"]["modulation"]), 2)
    normed = np.stack([plain_norm(row, model.layer_norm_epsilon) * (1 + scale) + shift for row in x])
    output = iter(dense(normed, parameters["head"]["output"]))
    picture = np.zeros(model.shape)
    for top in range(0, height, size):
        for left in range(0, width, size):
            values = iter(next(output))
            for p in range(size):
                for q in range(size):
                    for c in range(channels):
                        picture[top + p, left + q, c] = next(values)
    return picture


@given(examples(), st.integers(1, 3))
@settings(max_examples=12)
def test_predictions_are_those_of_the_plain_version(example, loops):
    config, parameters, inputs = example
    expected = [plain_forward(parameters, config, *one, loops) for one in zip(*inputs, strict=True)]
    np.testing.assert_allclose(forward(parameters, config, *inputs, loops=loops), expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("epsilon", [1e-6, 0.1])
@given(st.integers(0, 2**32 - 1))
@settings(max_examples=6)
def test_a_layer_is_that_of_the_plain_version(epsilon, seed):
    config = make_config(layers=1)
    layer, normal = random_parameters(config, seed)["block"][0], np.random.default_rng(seed).standard_normal
    x, modulation = normal((2, 3, 8)), normal((2, 6, 8))
    got = adaln_zero_layer({"layer": layer, "modulation": modulation}, x, heads=2, epsilon=epsilon)
    expected = [
        plain_layer(layer, wide(rows), wide(own).ravel(), 2, epsilon) for rows, own in zip(x, modulation, strict=True)
    ]
    np.testing.assert_allclose(got, np.array(expected, float), rtol=1e-9, atol=1e-10)


def test_the_epsilon_of_the_norms_is_dits():
    assert make_config().model.layer_norm_epsilon == 1e-6


@given(st.integers(0, 2**32 - 1), st.integers(1, 7))
@settings(max_examples=6)
def test_at_the_start_every_loop_is_the_identity_and_the_prediction_is_zero(seed, loops):
    config = make_config()
    parameters = init_parameters(config, seed)
    network = open_network(parameters, config, *random_inputs(config, seed=seed))
    assert np.abs(network.state).max() > 0.1
    for state in loop_states(network.block, network.state, loops):
        np.testing.assert_array_equal(state, network.state)
    np.testing.assert_array_equal(forward(parameters, config, *random_inputs(config, seed=seed), loops=loops), 0)


def test_initial_values_are_dits():
    config = make_config(width=64, mlp_width=128, classes=50, time_features=64)
    parameters = init_parameters(config)
    for tables in (parameters["head"], *parameters["block"]):
        assert not tables["modulation"]["weight"].any()
        assert not tables["modulation"]["bias"].any()
    assert not parameters["head"]["output"]["weight"].any()
    up = parameters["block"][0]["mlp"]["up"]["weight"]
    assert 0.95 * math.sqrt(6 / 192) < np.abs(up).max() <= math.sqrt(6 / 192)
    assert parameters["embedding"]["label"].shape == (51, 64)
    for table in (parameters["embedding"]["label"], parameters["embedding"]["time_in"]["weight"]):
        assert table.std() == pytest.approx(0.02, rel=0.1)  # some 3000 and 4000 values: four deviations are 5 %


def test_time_features_by_hand():
    """Cosines first; frequencies 1 and 1/100 of a width of 4."""
    got = time_features(np.array([0.0, 0.002, 1.0]), 4, 1000.0)
    expected = [
        [1, 1, 0, 0],
        [math.cos(2), math.cos(0.02), math.sin(2), math.sin(0.02)],
        [math.cos(1000), math.cos(10), math.sin(1000), math.sin(10)],
    ]
    np.testing.assert_allclose(got, expected, atol=1e-12)
    np.testing.assert_allclose(got[1], [-0.41614684, 0.99980001, 0.90929743, 0.01999867], atol=1e-8)


def test_positions_by_hand():
    """Two rows of three: the first half of the channels goes with the column, the second with the row."""
    got = sine_cosine_positions(2, 3, 8)
    np.testing.assert_allclose(got[0], [0, 0, 1, 1, 0, 0, 1, 1])
    np.testing.assert_allclose(got[2], [math.sin(2), math.sin(0.02), math.cos(2), math.cos(0.02), 0, 0, 1, 1])
    np.testing.assert_allclose(got[3], [0, 0, 1, 1, math.sin(1), math.sin(0.01), math.cos(1), math.cos(0.01)])
    grid = got.reshape(2, 3, 8)
    assert np.array_equal(grid[0, :, :4], grid[1, :, :4])
    assert np.array_equal(grid[:, 0, 4:], grid[:, 2, 4:])


def numbered(height, width, channels):
    """Return one picture whose values are 100 · row + 10 · column + channel."""
    row, column, channel = np.indices((height, width, channels))
    return (100.0 * row + 10 * column + channel)[None]


def test_patches_by_hand():
    picture = numbered(2, 4, 2)
    got = patchify(picture, 2)
    assert got.tolist() == [[[0, 10, 100, 110, 1, 11, 101, 111], [20, 30, 120, 130, 21, 31, 121, 131]]]
    output = np.array([[[0.0, 1, 10, 11, 100, 101, 110, 111], [20, 21, 30, 31, 120, 121, 130, 131]]])
    assert unpatchify(output, (2, 4, 2), 2).tolist() == picture.tolist()


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4))
def test_the_output_writes_what_the_embedding_reads_once_channels_come_last(size, rows, columns, channels):
    picture = numbered(size * rows, size * columns, channels)
    read = patchify(picture, size).reshape(1, rows * columns, channels, size**2)
    written = read.swapaxes(2, 3).reshape(1, rows * columns, -1)
    np.testing.assert_array_equal(unpatchify(written, picture.shape[1:], size), picture)


@given(examples(), st.integers(1, 4))
@settings(max_examples=6)
def test_states_of_few_loops_are_the_first_of_many_and_the_head_is_outside(example, loops):
    config, parameters, inputs = example
    network = open_network(parameters, config, *inputs)
    many = list(loop_states(network.block, network.state, loops + 2))
    few = list(loop_states(network.block, network.state, loops))
    assert all(np.array_equal(one, other) for one, other in zip(few, many[:loops], strict=True))
    assert not np.array_equal(many[loops - 1], many[loops])
    np.testing.assert_array_equal(network.head(few[-1]), forward(parameters, config, *inputs, loops=loops))


def test_twice_the_same_layer_is_one_layer_looped_twice():
    looped, deep = make_config(layers=1), make_config(layers=2)
    parameters = random_parameters(looped)
    inputs = random_inputs(looped)
    unrolled = parameters | {"block": parameters["block"] * 2}
    np.testing.assert_array_equal(
        forward(parameters, looped, *inputs, loops=4), forward(unrolled, deep, *inputs, loops=2)
    )


def test_samples_of_a_batch_do_not_mix():
    config = make_config()
    parameters, (noisy, time, labels) = random_parameters(config), random_inputs(config, 3)
    together = forward(parameters, config, noisy, time, labels)
    for row in range(3):
        own = slice(row, row + 1)
        alone = forward(parameters, config, noisy[own], time[own], labels[own])
        np.testing.assert_allclose(alone[0], together[row], rtol=1e-10, atol=1e-12)


def test_every_input_and_the_unconditional_class_matter():
    config = make_config()
    parameters, (noisy, time, _) = random_parameters(config), random_inputs(config)
    rows = [forward(parameters, config, noisy, time, np.full(2, label)) for label in range(4)]
    rows += [
        forward(parameters, config, noisy, 1 - time, np.full(2, 0)),
        forward(parameters, config, -noisy, time, np.full(2, 0)),
    ]
    for index, row in enumerate(rows):
        assert all(np.abs(row - other).max() > 1e-6 for other in rows[:index])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rematerialising_changes_no_number(dtype):
    results = []
    for rematerialise in (False, True):
        config = make_config(dtype=dtype, training={"rematerialise": rematerialise})
        inputs = random_inputs(config)

        def loss(parameters, config=config, inputs=inputs):
            return anp.sum(forward(parameters, config, *inputs) ** 2), None

        value, _, gradient = value_and_gradient(loss, random_parameters(config))
        results.append([value, *tree_leaves(gradient)])
    assert {array.dtype for array in results[0]} == {np.dtype(dtype)}
    for kept, again in zip(*results, strict=True):
        np.testing.assert_allclose(
            again, kept, rtol=2e-5 if dtype == "float32" else 1e-12, atol=1e-5 if dtype == "float32" else 1e-12
        )
    assert all(np.abs(gradient).max() > 0 for gradient in results[0])


@pytest.mark.parametrize("loops", [1, 3, 5])
def test_calls_of_layers_and_of_the_head(loops):
    config = make_config()
    with counting() as work:
        forward(random_parameters(config), config, *random_inputs(config), loops=loops)
    assert work.calls == {"layer": 2 * loops, "head": 1}


@given(examples(), st.integers(1, 5))
@settings(max_examples=18)
def test_work_is_to_the_digit_what_is_counted_and_affine_in_loops(example, loops):
    config, parameters, inputs = example
    with counting() as work:
        forward(parameters, config, *(array[:1] for array in inputs), loops=loops)
    counted = count(config, loops)
    assert (work.macs, work.flops) == (counted.macs_per_forward, counted.flops_per_forward)
    assert work.calls["layer"] == counted.layer_calls
    assert counted.total_parameters == sum(leaf.size for leaf in tree_leaves(parameters))
    one, two = count(config, 1), count(config, 2)
    for field in ("macs_per_forward", "flops_per_forward"):
        first, step = getattr(one, field), getattr(two, field) - getattr(one, field)
        assert getattr(counted, field) == first + (loops - 1) * step


def wrong_inputs():
    noisy, time, labels = random_inputs(make_config())
    return {
        "t above 1": ((noisy, np.array([0.5, 1.25]), labels), r"time: expected t in 0…1, got 1\.25 at position 1"),
        "t below 0": ((noisy, np.array([-0.5, 1.0]), labels), r"time: expected t in 0…1, got -0\.5 at position 0"),
        "t not a number": ((noisy, np.array([0.5, np.nan]), labels), "time: expected t in 0…1, got nan"),
        "times of another batch": ((noisy, np.zeros(3), labels), r"time: expected shape \[2\], got \[3\]"),
        "channels": ((noisy[..., :2], time, labels), r"noisy: expected shape \[batch, 4, 6, 3\], got \[2, 4, 6, 2\]"),
        "height and width": ((noisy.swapaxes(1, 2), time, labels), "noisy: expected shape"),
        "no batch": ((noisy[0], time, labels), "noisy: expected shape"),
        "integers": ((noisy.astype(int), time, labels), "noisy: expected an array of floats, got int64"),
        "a list": ((noisy.tolist(), time, labels), "noisy: expected an array of floats, got list"),
        "a class too many": ((noisy, time, np.array([0, 4])), r"labels: expected classes in 0…2 or 3 for none, got 4"),
        "a negative class": ((noisy, time, np.array([-1, 0])), "labels: expected classes"),
        "labels of another batch": ((noisy, time, np.zeros(3, int)), r"labels: expected shape \[2\]"),
        "labels that are floats": ((noisy, time, np.zeros(2)), "labels: expected an array of integers"),
    }


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize("name", wrong_inputs())
def test_wrong_inputs_are_refused_in_a_sentence(name):
    inputs, sentence = wrong_inputs()[name]
    config = make_config()
    with pytest.raises(RequestError, match=sentence):
        forward(init_parameters(config), config, *inputs)


def test_times_at_both_ends_are_allowed():
    config = make_config()
    noisy, _, labels = random_inputs(config)
    assert np.isfinite(forward(random_parameters(config), config, noisy, np.array([0.0, 1.0]), labels)).all()


@pytest.mark.parametrize("wrong", [{"patch_size": 4}, {"width": 6}, {"heads": 3}, {"time_features": 5}])
def test_sizes_that_do_not_fit_are_refused(wrong):
    with pytest.raises(ValueError, match=r"expected|multiple"):
        DiffusionModelConfig.model_validate(DIFFUSION | wrong)
