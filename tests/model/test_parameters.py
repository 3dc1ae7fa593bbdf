"""Names, shapes and initial values of the parameters: what every safetensors file and every port relies on."""

import numpy as np
import pytest
from networks import make_config

from elt_ref.arrays import tree_items
from elt_ref.model import declare_parameters, init_parameters

# N = 2 layers, width 8, MLP 12, 4 tokens and the class, 5 codes + 3 classes + none + mask; [inputs, outputs].
NAMES_AND_SHAPES = """
embedding.word                           (10, 8)
embedding.position                       (5, 8)
embedding.norm.scale                     (8,)
embedding.norm.bias                      (8,)
block.0.attention.query_key_value.weight (8, 24)
block.0.attention.query_key_value.bias   (24,)
block.0.attention.output.weight          (8, 8)
block.0.attention.output.bias            (8,)
block.0.attention_norm.scale             (8,)
block.0.attention_norm.bias              (8,)
block.0.mlp.up.weight                    (8, 12)
block.0.mlp.up.bias                      (12,)
block.0.mlp.down.weight                  (12, 8)
block.0.mlp.down.bias                    (8,)
block.0.mlp_norm.scale                   (8,)
block.0.mlp_norm.bias                    (8,)
block.1.attention.query_key_value.weight (8, 24)
block.1.attention.query_key_value.bias   (24,)
block.1.attention.output.weight          (8, 8)
block.1.attention.output.bias            (8,)
block.1.attention_norm.scale             (8,)
block.1.attention_norm.bias              (8,)
block.1.mlp.up.weight                    (8, 12)
block.1.mlp.up.bias                      (12,)
block.1.mlp.down.weight                  (12, 8)
block.1.mlp.down.bias                    (8,)
block.1.mlp_norm.scale                   (8,)
block.1.mlp_norm.bias                    (8,)
head.dense.weight                        (8, 8)
head.dense.bias                          (8,)
head.norm.scale                          (8,)
head.norm.bias                           (8,)
head.bias                                (5,)
"""


def initial(seed=0, dtype="float64", **model):
    return dict(tree_items(init_parameters(make_config(dtype=dtype, **model), seed)))


def test_names_shapes_and_order_are_fixed():
    listing = "".join(f"{name:<40} {array.shape}\n" for name, array in initial().items())
    assert listing == NAMES_AND_SHAPES.removeprefix("\n")
    declared = tree_items(declare_parameters(make_config()))
    assert "".join(f"{name:<40} {parameter.shape}\n" for name, parameter in declared) == listing


def test_the_number_of_loops_adds_no_parameter():
    assert initial(max_loops=2).keys() == initial(max_loops=9).keys()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_biases_are_zero_norms_are_one_and_everything_else_is_random(dtype):
    for name, array in initial(dtype=dtype).items():
        assert array.dtype == dtype, name
        kind = name.split(".")[-1]
        if kind == "bias":
            assert not array.any(), name
        elif kind == "scale":
            assert (array == 1).all(), name
        else:
            assert len(np.unique(array)) > array.size / 2, f"{name} is not random"


@pytest.mark.parametrize("deviation", [0.02, 0.5])
def test_kernels_and_embeddings_are_a_normal_cut_at_two_deviations(deviation):
    """Its standard deviation is 0.8796 times the uncut one; 160 000 draws know theirs to a percent."""
    arrays = initial(codebook_size=5000, width=32, mlp_width=500, initial_deviation=deviation)
    for name in ("embedding.word", "block.0.mlp.up.weight", "block.1.mlp.down.weight"):
        values = arrays[name] / deviation
        assert np.abs(values).max() <= 2, name
        assert np.abs(values).max() > 1.99, f"{name}: cut too early"
        np.testing.assert_allclose(values.std(), 0.8796, rtol=0.02, err_msg=name)
        np.testing.assert_allclose(values.mean(), 0, atol=5 / np.sqrt(values.size), err_msg=name)
        # A clipped normal would have 4.6 % of its values at the edge; a resampled one 0.5 % within 0.05 of it.
        assert (np.abs(values) > 1.95).mean() < 0.01, f"{name}: clipped, not drawn again"


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    one, same, other = initial(seed=5), initial(seed=5), initial(seed=6)
    for name, array in one.items():
        assert np.array_equal(array, same[name]), name
        if name.split(".")[-1] not in {"bias", "scale"}:
            assert not np.array_equal(array, other[name]), name


def test_the_seed_of_the_configuration_is_the_default():
    config = make_config(seed=7)
    assert np.array_equal(init_parameters(config)["embedding"]["word"], init_parameters(config, 7)["embedding"]["word"])


def test_float32_is_float64_rounded():
    for (name, narrow), wide in zip(initial(dtype="float32").items(), initial().values(), strict=True):
        assert np.array_equal(narrow, wide.astype(np.float32)), name


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({"classes": 4}, ["embedding.word"]),
        ({"codebook_size": 6}, ["embedding.word", "head.bias"]),
        ({"grid": (2, 3)}, ["embedding.position"]),
        ({"max_loops": 5}, []),
        ({"heads": 4}, []),
    ],
    ids=str,
)
def test_every_parameter_has_a_stream_of_its_own(change, changed):
    before, after = initial(), initial(**change)
    assert sorted(name for name in before if not np.array_equal(before[name], after[name])) == changed


def test_another_layer_changes_none_of_the_others():
    before, after = initial(layers=2), initial(layers=3)
    assert all(np.array_equal(after[name], array) for name, array in before.items())


def test_no_two_parameters_share_their_values():
    arrays = initial()
    words = [
        array.flat[:24].tolist() for name, array in arrays.items() if name.endswith(("weight", "word", "position"))
    ]
    assert len({tuple(word) for word in words}) == len(words)
